import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.catalog import make_extractor
from engine.spec import Extraction, Extractor
from models.errors import ExtractorUnavailable, InvalidParameters
from models.fields import VectorKind
from models.points import SparseVector
from tests.engine.nets.tiny_tokens import TABLE, write_token_net
from tests.extractors import choice


def ready(cache: Path, **parameters: Any) -> Extractor:
    extractor = make_extractor(choice("sparse@v1", **parameters), cache)
    extractor.require()
    extractor.setup()
    return extractor


def ran(extractor: Extractor, *texts: str) -> Extraction:
    rows = pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})
    return extractor.run(rows, lambda _: None)


def weights(made: Extraction) -> list[dict[int, float]]:
    rows = made.documents.column("terms").to_pylist()
    return [dict(zip(row["indices"], row["values"], strict=True)) for row in rows]


def test_the_terms_of_each_piece_are_weighed(tmp_path: Path) -> None:
    extractor = ready(tmp_path, split_by="sentences", chunk_size=1)

    made = ran(extractor, "Dogs bark. Cats purr at dogs.", "", "A dog.")

    query = extractor.encode_query("dogs", "terms")
    assert isinstance(query, SparseVector)
    (term,) = query.indices.tolist()
    assert [term in piece for piece in weights(made)] == [True, True, True]
    assert made.documents.column("chunk_index").to_pylist() == [0, 1, 0]
    assert [failure.row for failure in made.failures] == [1]
    (vector,) = extractor.vectors
    assert (vector.kind, vector.idf, vector.dimension) == (VectorKind.SPARSE, True, 0)


def test_the_same_text_makes_the_same_bytes(tmp_path: Path) -> None:
    texts = ("Many words of one text, and some more of them.", "Others.")

    first, second = (ran(ready(tmp_path), *texts).documents for _ in range(2))

    assert first.equals(second)


def test_a_splade_net_in_a_folder_takes_the_place_of_bm25(tmp_path: Path) -> None:
    write_token_net(tmp_path / "nets" / "splade", width=TABLE)
    extractor = ready(tmp_path, net="splade")

    made = ran(extractor, "one two", "seven")

    assert all(term < TABLE for piece in weights(made) for term in piece)
    assert [vector.idf for vector in extractor.vectors] == [False]
    assert isinstance(extractor.encode_query("one", "terms"), SparseVector)


def test_a_net_that_is_not_here_says_what_to_do(tmp_path: Path) -> None:
    extractor = make_extractor(choice("sparse@v1", net="nobody/nothing"), tmp_path)

    with pytest.raises(ExtractorUnavailable, match=re.escape("nobody/nothing")) as refused:
        extractor.setup()

    assert refused.value.hint


def test_words_are_not_split_by_tokens() -> None:
    with pytest.raises(InvalidParameters, match="split by words"):
        choice("sparse@v1", split_by="tokens")
