"""Weights of the terms of a text by BM25, with the stemmers and stop words of many languages.

The other half of BM25, how rare a term is, Qdrant adds when it searches: a sparse vector with
`idf`. Nothing is downloaded: stemmers and lists of stop words are in the wheels.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from engine.nets.errors import NetMissing
from engine.nets.tokens import mend
from engine.splitting import WITHOUT_SPACES
from models.points import SparseVector

Language = Literal[
    "none", "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek",
    "hungarian", "italian", "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish",
    "turkish",
]  # fmt: skip
_NET: Final = "Qdrant/bm25"
_CALL: Final = 32  # texts between two signs of progress
# A run of Chinese or Japanese would be one term; as with words elsewhere, each character is one.
_CHARACTER: Final = re.compile(f"([{WITHOUT_SPACES}])")


class TermWeights:
    """The BM25 weights of texts in one language; `none` neither stems nor leaves words out."""

    def __init__(
        self, language: Language, *, k: float, b: float, average_length: float, cache: Path
    ) -> None:
        require_bm25()
        from fastembed.sparse.bm25 import Bm25
        from stop_words import get_stop_words

        stemmed = language != "none"
        self._bm25: Any = Bm25(
            _NET,
            cache_dir=str(cache),
            specific_model_path=str(cache),  # of its files only the stop words would be read
            k=k,
            b=b,
            avg_len=average_length,
            language=language if stemmed else "english",
            disable_stemmer=not stemmed,
            stopwords=set(get_stop_words(language)) if stemmed else set(),
        )

    def weigh(
        self, texts: Sequence[str], *, on_progress: Callable[[int], None] | None = None
    ) -> list[SparseVector]:
        """Return one vector a text; one without terms for a text without words."""
        vectors: list[SparseVector] = []
        for start in range(0, len(texts), _CALL):
            part = [_spaced(text) for text in texts[start : start + _CALL]]
            vectors += _sorted(self._bm25.raw_embed(part))
            if on_progress is not None:
                on_progress(len(vectors))
        return vectors

    def weigh_query(self, text: str) -> SparseVector:
        """Return a query's terms, each of weight 1."""
        (vector,) = _sorted(self._bm25.query_embed(_spaced(text)))
        return vector


def require_bm25() -> None:
    """Check that the libraries are installed, without loading them."""
    if any(find_spec(name) is None for name in ("fastembed", "stop_words")):
        hint = "pip install 'strata[fastembed]'"
        raise NetMissing("the libraries of BM25 are not installed", hint)


def _spaced(text: str) -> str:
    return _CHARACTER.sub(r" \1 ", mend(text))


def _sorted(found: Iterator[Any]) -> Iterator[SparseVector]:
    """Put terms in the order of their numbers: the same text makes the same bytes."""
    for one in found:
        order = np.argsort(one.indices)
        yield SparseVector(
            np.asarray(one.indices, np.uint32)[order], np.asarray(one.values, np.float32)[order]
        )
