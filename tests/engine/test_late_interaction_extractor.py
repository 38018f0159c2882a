import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.availability import require_available
from engine.catalog import make_extractor
from engine.spec import Extraction, Extractor
from models.errors import ExtractorUnavailable
from models.fields import VectorKind
from tests.engine.nets.tiny_tokens import write_token_net
from tests.extractors import choice

WIDTH = 4


@pytest.fixture
def extractor(tmp_path: Path) -> Extractor:
    """One with a tiny net in a folder."""
    write_token_net(tmp_path / "nets" / "colbert", width=WIDTH)
    chosen = choice(
        "late_interaction@v1", net="colbert", dimension=WIDTH, split_by="tokens", chunk_size=3
    )
    (vector,) = require_available(chosen, tmp_path)
    assert (vector.kind, vector.dimension) == (VectorKind.MULTI, WIDTH)
    made = make_extractor(chosen, tmp_path)
    made.setup()
    return made


def ran(extractor: Extractor, *texts: str) -> Extraction:
    rows = pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})
    return extractor.run(rows, lambda _: None)


def tokens(made: Extraction) -> list[Any]:
    return [np.array(one) for one in made.documents.column("tokens").to_pylist()]


def test_each_piece_has_a_vector_of_each_token(extractor: Extractor) -> None:
    made = ran(extractor, "one two three four", "", "seven")

    assert made.documents.column("text").to_pylist() == ["one two three", "four", "seven"]
    marks = 3  # a beginning, the mark of a document, an end
    assert [one.shape for one in tokens(made)] == [
        (3 + marks, WIDTH), (1 + marks, WIDTH), (1 + marks, WIDTH),
    ]  # fmt: skip
    assert [failure.row for failure in made.failures] == [1]


def test_a_piece_has_the_vectors_of_its_own_text(extractor: Extractor) -> None:
    together, alone = tokens(ran(extractor, "one two", "five")), tokens(ran(extractor, "five"))

    assert np.abs(together[1] - alone[0]).max() < 1e-6


def test_a_query_has_a_vector_of_each_token(extractor: Extractor) -> None:
    query = extractor.encode_query("one", "tokens")

    assert isinstance(query, np.ndarray)
    assert query.shape == (32, WIDTH)


def test_a_net_that_is_not_here_says_what_to_fetch_and_where_to(tmp_path: Path) -> None:
    name = "answerdotai/answerai-colbert-small-v1"

    with pytest.raises(ExtractorUnavailable, match=re.escape(name)) as refused:
        require_available(choice("late_interaction@v1", net=name), tmp_path)

    assert str(tmp_path / "fastembed") in refused.value.hint
    assert refused.value.path == ("extractor", "parameters", "net")
