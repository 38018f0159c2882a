"""The conformance kit: every built-in extractor passes it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.catalog import CATALOG, extractor_class
from engine.conformance import CHECKS, Check, Row, Subject
from engine.extractors.text import TextExtractor
from models.endpoints import EmbeddingEndpoint
from tests.engine.nets.tiny import write_tiny
from tests.engine.nets.tiny_tokens import write_token_net
from tests.engine.test_embed_api_extractor import serving, vectors
from tests.extractors import EXTRACTORS
from tests.media import film, pdf, picture, sound, written

pytestmark = pytest.mark.long

RED, BLUE = (200, 0, 0), (0, 0, 200)
BLANK: list[Row] = [{"text": ""}, {"text": " \n\t"}]


def text(cache: Path) -> Subject:
    write_tiny(cache / "nets" / "tiny")
    values = {"net": "tiny", "terms": "english", "detect_language": True, "chunk_size": 20}
    return Subject(TextExtractor, values, bad=BLANK, cache=cache)


def late_interaction(cache: Path) -> Subject:
    write_token_net(cache / "nets" / "colbert", width=4)
    values = {"net": "colbert", "dimension": 4}
    return Subject(extractor_class("late_interaction@v1"), values, bad=BLANK, cache=cache)


def passthrough(cache: Path) -> Subject:
    bad: list[Row] = [{"content": 1, "vector": [0.5]}, {"content": 2, "vector": None}]
    return Subject(extractor_class("passthrough@v1"), {"vector_dimension": 3}, bad=bad, cache=cache)


def sparse(cache: Path) -> Subject:
    return Subject(extractor_class("sparse@v1"), bad=BLANK, cache=cache)


def of_files(label: str, name: str, *good: bytes, **values: Any) -> Callable[[Path], Subject]:
    """Return a subject of files; bad ones are none of any kind, or are cut short."""
    bad = [b"", bytes(range(256)), good[0][:32]]

    def make(cache: Path) -> Subject:
        return Subject(
            extractor_class(label),
            values,
            good=[{name: one} for one in good],
            bad=[{name: one} for one in bad],
            cache=cache,
        )

    return make


SUBJECTS: dict[str, Callable[[Path], Subject]] = {
    "audio@v1": of_files("audio@v1", "audio", sound(0.4), sound(0.3, level=0.1)),
    "document@v1": of_files("document@v1", "document", pdf("Of rock."), pdf("Of sand.", "Of mud.")),
    "image@v1": of_files("image@v1", "image", picture(40, 30), picture(30, 40, colour=BLUE)),
    "late_interaction@v1": late_interaction,
    "ocr@v1": of_files("ocr@v1", "image", written("ROCK", size=20), picture(64, 48), side=100),
    "passthrough@v1": passthrough,
    "sparse@v1": sparse,
    "text@v1": text,
    "video@v1": of_files("video@v1", "video", film(RED, BLUE, seconds=0.5), film(BLUE)),
}


@pytest.fixture(scope="module", params=[*SUBJECTS, "embed_api@v1"])
def subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    cache = tmp_path_factory.mktemp("cache")
    if request.param != "embed_api@v1":
        made = SUBJECTS[request.param](cache)
        yield made
        made.close()
        return
    with serving(lambda _, body: vectors(body)) as service:
        endpoint = EmbeddingEndpoint(url=service.url, requests_per_minute=60_000)
        values = {"endpoint": "mine", "model": "small", "dimension": 2}
        kind = extractor_class("embed_api@v1")
        yield Subject(kind, values, bad=BLANK, cache=cache, endpoints={"mine": endpoint})


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_built_in_extractor_passes(subject: Subject, check: Check) -> None:
    check(subject)


def test_no_built_in_extractor_is_left_out() -> None:
    assert {*SUBJECTS, "embed_api@v1"} == CATALOG.keys() - EXTRACTORS.keys()
