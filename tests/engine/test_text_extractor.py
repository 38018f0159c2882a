import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.catalog import make_extractor
from engine.inline_pool import InlinePools
from engine.nets.loading import _default_folder
from engine.nets.tokens import open_tokenizer
from engine.spec import Extraction, Extractor
from models.collection import InputMapping
from models.errors import ErrorCategory, ExtractorUnavailable
from models.fields import VectorField
from models.object import Blob
from models.points import SparseVector
from models.stores import Stores
from tests.engine.batches import documents_of, run, submitted
from tests.engine.conftest import PutSource
from tests.extractors import choice
from tests.factories import make_bucket, make_collection, make_object
from tests.fixtures.stores import NamespaceOfTest

ODD = [
    "a\0b",
    "🙂 ﷽ ǅ",
    "\u202eright to left\u202c",
    "e\u0301",
    "  spaced  ",
    "\ufeffmark",
    "x" * 9000,
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the graph of the net is built once."""
    return tmp_path_factory.mktemp("nets")


def ready(cache: Path, **parameters: Any) -> Extractor:
    extractor = make_extractor(choice("text@v1", **parameters), cache)
    extractor.setup()
    return extractor


def ran(extractor: Extractor, *texts: str) -> Extraction:
    rows = pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.large_string())})
    return extractor.run(rows, lambda _: None)


def vectors(extraction: Extraction) -> Any:
    flat = extraction.documents.column("embedding").combine_chunks().flatten().to_numpy()
    return flat.reshape(-1, 384)


@pytest.mark.parametrize(
    ("split_by", "pieces"),
    [
        ("none", ["One. Two three.\n\nFour five six."]),
        ("characters", ["One. Two three.\n", "\nFour five six."]),
        ("words", ["One. Two three.", "Four five six."]),
        ("sentences", ["One. Two three.", "Four five six."]),
        ("paragraphs", ["One. Two three.", "Four five six."]),
    ],
)
def test_a_text_is_split_and_each_piece_embedded(
    cache: Path, split_by: str, pieces: list[str]
) -> None:
    size = {"characters": 16, "words": 3, "sentences": 2, "paragraphs": 1}.get(split_by, 1)
    text = "One. Two three.\n\nFour five six."

    made = ran(ready(cache, split_by=split_by, chunk_size=size), text)

    documents = made.documents.to_pydict()
    assert documents["text"] == pieces
    assert documents["chunk_index"] == list(range(len(pieces)))
    spans = zip(documents["start_char"], documents["end_char"], strict=True)
    assert [text[start:end] for start, end in spans] == pieces
    assert np.allclose(np.linalg.norm(vectors(made), axis=1), 1, atol=1e-5)


def test_a_piece_has_the_vector_of_its_own_text(cache: Path) -> None:
    whole = ran(ready(cache, split_by="sentences", chunk_size=1), "It rains. The cat sleeps.")
    alone = ran(ready(cache), "It rains.", "The cat sleeps.")

    assert np.allclose(vectors(whole), vectors(alone), atol=1e-5)


@pytest.mark.parametrize("blank", ["", " \n\t "])
def test_an_empty_text_fails_its_row(cache: Path, blank: str) -> None:
    made = ran(ready(cache), "first", blank, "last")

    assert made.documents.column("row").to_pylist() == [0, 2]
    (failure,) = made.failures
    assert (failure.row, failure.category) == (1, ErrorCategory.VALIDATION)
    assert failure.message == "The text is empty."


def test_no_rows_make_no_documents(cache: Path) -> None:
    made = ran(ready(cache))

    assert (made.documents.num_rows, made.failures) == (0, [])


@pytest.mark.parametrize("split_by", ["none", "characters", "words", "sentences", "paragraphs"])
def test_odd_characters_come_through_unchanged(cache: Path, split_by: str) -> None:
    made = ran(ready(cache, split_by=split_by, chunk_size=10_000), *ODD)

    assert made.failures == []
    kept = made.documents.column("text").to_pylist()
    assert [text.strip() for text in kept] == [text.strip() for text in ODD]
    assert np.isfinite(vectors(made)).all()


def test_the_order_of_the_rows_does_not_matter(cache: Path) -> None:
    texts = [" ".join(["word"] * length) + f" {length}" for length in range(1, 40)]
    order = random.Random(3).sample(range(len(texts)), len(texts))
    extractor = ready(cache)

    straight, shuffled = ran(extractor, *texts), ran(extractor, *(texts[row] for row in order))

    assert np.allclose(vectors(straight)[order], vectors(shuffled), atol=1e-5)


def test_the_same_rows_make_the_same_bytes(cache: Path) -> None:
    texts = [*ODD, "A text.", "Another, which is longer."]

    first, second = (ran(ready(cache, token_budget=64), *texts) for _ in range(2))

    assert first.documents.equals(second.documents)


def test_progress_grows_within_one_long_text(cache: Path) -> None:
    seen: list[int] = []
    rows = pa.RecordBatch.from_pydict({"text": ["Some words. " * 60]})

    ready(cache, split_by="sentences", chunk_size=1, token_budget=16).run(rows, seen.append)

    assert len(seen) > 3
    assert seen == sorted(set(seen))


def test_a_text_of_too_many_pieces_fails_its_row(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.pieces.MOST_PIECES", 5)

    made = ran(ready(cache, split_by="words", chunk_size=1), "a b c d e", "a b c d e f")

    assert made.documents.column("row").to_pylist() == [0] * 5
    (failure,) = made.failures
    assert (failure.row, failure.category) == (1, ErrorCategory.RESOURCE)


def test_a_query_finds_its_text(cache: Path) -> None:
    extractor = ready(cache)
    made = vectors(ran(extractor, "Cats sleep all day.", "The engine burns petrol."))

    query = extractor.encode_query("a sleeping kitten", "embedding")

    assert np.argmax(made @ query) == 0


def test_a_net_that_is_not_here_says_what_to_do(cache: Path) -> None:
    extractor = make_extractor(choice("text@v1", net="nobody/nothing"), cache)

    with pytest.raises(ExtractorUnavailable, match=re.escape("nobody/nothing")) as refused:
        extractor.setup()

    assert refused.value.hint


def test_a_text_is_split_by_the_tokens_of_its_net(cache: Path) -> None:
    tokenizer = open_tokenizer(_default_folder() / "tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    text = "Unbelievable antidisestablishmentarianism, 2024!  🙂 Ende."

    made = ran(ready(cache, split_by="tokens", chunk_size=4, chunk_overlap=1), text).documents

    pieces = made.select(["text", "start_char", "end_char"]).to_pylist()
    assert len(pieces) > 3
    for piece in pieces:
        assert piece["text"] == text[piece["start_char"] : piece["end_char"]]
        assert len(tokenizer.encode(piece["text"]).tokens) <= 4 + len(["[CLS]", "[SEP]"])
    assert (pieces[0]["start_char"], pieces[-1]["end_char"]) == (0, len(text))


def test_terms_are_a_second_vector_for_hybrid_search(cache: Path) -> None:
    extractor = ready(cache, terms="english")

    made = ran(extractor, "Dogs bark.", "Cats purr.")

    query = extractor.encode_query("a barking dog", "terms")
    assert isinstance(query, SparseVector)
    rows = made.documents.column("terms").to_pylist()
    assert [set(row["indices"]) == set(query.indices.tolist()) for row in rows] == [True, False]
    assert [vector.name for vector in extractor.vectors] == ["embedding", "terms"]


def test_the_language_of_a_text_is_told_if_asked_for(cache: Path) -> None:
    texts = ("The cat sleeps on the sofa.", "Der Hund schläft auf dem Sofa im Zimmer.", "123")

    told = ran(ready(cache, detect_language=True), *texts).documents
    untold = ran(ready(cache), *texts).documents

    assert told.column("language").to_pylist() == ["en", "de", None]
    assert untold.column("language").to_pylist() == [None] * 3


async def test_ten_megabytes_from_s3_are_one_document(
    stores: Stores, namespace: NamespaceOfTest, put_source: PutSource, cache: Path
) -> None:
    text = ("All work and no play. " * 500_000)[: 10 * 1024 * 1024]
    url = await put_source("ten.txt", text.encode())
    bucket = make_bucket(namespace.id)
    collection = make_collection(
        bucket,
        extractor=choice("text@v1"),
        input_mappings=[InputMapping(input="text", path="content")],
        passthrough=[],
        vectors=[VectorField(name="embedding", dimension=384)],
    )
    objects = [make_object(bucket, blobs=[Blob(property="content", url=url)])]
    batch = await submitted(stores, bucket, objects, collection)

    await run(stores, batch, InlinePools(cache))

    (document,) = await documents_of(collection)
    assert document.fields["text"] == text
    assert await stores.vectors.count(collection.id) == 1
