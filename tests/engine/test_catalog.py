import subprocess
import sys
from pathlib import Path

import pytest

from engine.catalog import (
    default_choice,
    extractor_class,
    extractor_spec,
    make_extractor,
    parameters_hash,
    parse_parameters,
)
from engine.extractors.passthrough import PassthroughExtractor
from models.errors import InvalidParameters, UnknownExtractor

HEAVY = ("ray", "beanie", "pymongo", "onnxruntime", "qdrant_client", "tokenizers", "aioboto3")


def loaded_by(program: str, *names: str) -> list[str]:
    asked = f"{program}\nimport sys\nprint(*(n for n in {names!r} if n in sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )
    return ended.stdout.split()


def test_importing_the_catalog_loads_nothing_heavy() -> None:
    ours = ("engine.extractors.text", "engine.extractors.passthrough", "engine.nets")

    assert loaded_by("import engine.catalog", *HEAVY, *ours) == []


def test_a_spec_loads_no_net() -> None:
    program = "from engine.catalog import extractor_spec; extractor_spec('text@v1')"

    assert loaded_by(program, *HEAVY) == []


def test_an_extractor_process_loads_no_store() -> None:
    assert loaded_by("import engine.extractor_process", *HEAVY) == []


def test_a_label_leads_to_its_class() -> None:
    assert extractor_class("passthrough@v1") is PassthroughExtractor
    assert extractor_spec("text@v1").label == "text@v1"


def test_refuses_an_unknown_label_and_names_the_known() -> None:
    with pytest.raises(UnknownExtractor, match="No extractor 'text@v9'") as refused:
        extractor_spec("text@v9")

    assert "text@v1" in refused.value.hint


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"chunk_size": 0}, ("chunk_size",)),
        ({"chunk_size": 10_001}, ("chunk_size",)),
        ({"split_by": "colour"}, ("split_by",)),
        ({"unknown": 1}, ("unknown",)),
        ({"chunk_size": 5, "chunk_overlap": 5}, ()),
    ],
)
def test_refuses_parameters_and_says_where(values: dict[str, object], where: tuple[str]) -> None:
    with pytest.raises(InvalidParameters, match="text@v1: ") as refused:
        parse_parameters("text@v1", values)

    assert refused.value.path == ("extractor", "parameters", *where)
    assert "chunk_size" in refused.value.hint


def test_the_hash_changes_with_any_parameter() -> None:
    given: list[dict[str, object]] = [
        {}, {"chunk_size": 7}, {"chunk_overlap": 1}, {"token_budget": 64}, {"net": "other"},
    ]  # fmt: skip

    hashes = {parameters_hash(parse_parameters("text@v1", values)) for values in given}

    assert len(hashes) == len(given)
    assert parameters_hash(parse_parameters("text@v1", {"chunk_size": 1000})) in hashes


def test_a_default_choice_is_complete() -> None:
    chosen = default_choice("text@v1")

    assert chosen.parameters["chunk_size"] == 1000
    assert chosen.parameters_hash == parameters_hash(parse_parameters("text@v1", {}))


def test_an_extractor_has_its_checked_parameters(tmp_path: Path) -> None:
    chosen = default_choice("text@v1").model_copy(update={"parameters": {"chunk_size": 7}})

    made = make_extractor(chosen, tmp_path)

    assert made.parameters.model_dump()["chunk_size"] == 7
