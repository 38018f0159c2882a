from pathlib import Path

import numpy as np
import pytest

from engine.nets import NetMissing
from engine.nets.bm25 import Language, TermWeights, require_bm25


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def terms(cache: Path, language: Language = "english") -> TermWeights:
    return TermWeights(language, k=1.2, b=0.75, average_length=4, cache=cache)


def shared(cache: Path, language: Language, query: str, text: str) -> int:
    """Return how many terms of a query are in a text."""
    used = terms(cache, language)
    (vector,) = used.weigh([text])
    return len(np.intersect1d(vector.indices, used.weigh_query(query).indices))


def test_the_weights_are_those_of_the_formula(cache: Path) -> None:
    (vector,) = terms(cache).weigh(["cats cat dog bird fish tree"])

    k, b, length = 1.2, 0.75, 6 / 4
    wanted = [count * (k + 1) / (count + k * (1 - b + b * length)) for count in (1, 1, 1, 1, 2)]
    assert sorted(vector.values.tolist()) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("language", "query", "text", "found"),
    [
        ("english", "running dogs", "A dog runs.", 2),
        ("english", "the a is", "The dog is a dog.", 0),
        ("german", "Katzen", "Die Katze schläft.", 1),
        ("none", "cats", "cat", 0),
        ("none", "the", "The end", 1),
        ("english", "東京", "東京都に住む", 2),
        ("russian", "кошки", "Кошка спит.", 1),
    ],
)
def test_a_query_finds_the_terms_of_its_language(
    cache: Path, language: Language, query: str, text: str, found: int
) -> None:
    assert shared(cache, language, query, text) == found


def test_texts_without_words_have_no_terms(cache: Path) -> None:
    vectors = terms(cache).weigh(["", " .,! ", "the", "\ud800"])

    assert [len(vector.indices) for vector in vectors[:3]] == [0, 0, 0]
    assert vectors[3].indices.dtype == np.uint32


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.nets.bm25.find_spec", lambda name: None)

    with pytest.raises(NetMissing, match="not installed") as refused:
        require_bm25()

    assert "strata[fastembed]" in refused.value.hint
