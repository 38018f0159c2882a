"""Nets that say more of a text than one vector: weights of terms, or a vector of each token.

Asked for by name, and looked for in a folder `<cache>/nets/<name>/` (model.onnx, tokenizer.json,
tokenizer_config.json, config.json) or in the list of fastembed.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

import numpy as np

from engine.nets.batching import plan_batches
from engine.nets.errors import NetInvalid
from engine.nets.listed import Family, listed_dimension, open_listed, require_listed
from engine.nets.loading import net_folder
from engine.nets.net import TOKEN_BUDGET
from engine.nets.tokens import TokenReader, mend
from models.points import Floats, SparseVector

V = TypeVar("V")
# Whose conventions (marker tokens, the activation over the logits) a folder's net has to share.
_LIKE: Final[dict[Family, str]] = {
    "SparseTextEmbedding": "prithivida/Splade_PP_en_v1",
    "LateInteractionTextEmbedding": "colbert-ir/colbertv2.0",
}


class TokenNet(ABC, Generic[V]):
    """A loaded net."""

    family: ClassVar[Family]

    def __init__(self, name: str, *, cache: Path, threads: int = 1) -> None:
        """Load it.

        Raises:
            NetMissing, NetInvalid: its files are not here, or cannot be run.
        """
        from tokenizers import Tokenizer

        folder = net_folder(name, cache)
        listed = name if folder is None else _LIKE[self.family]
        self.name = name
        self._model: Any = open_listed(
            self.family, listed, cache=cache, threads=threads, folder=folder
        )
        tokenizer = self._model.model.tokenizer
        limit = tokenizer.truncation["max_length"]
        self._reader = TokenReader(Tokenizer.from_str(tokenizer.to_str()), limit)

    @classmethod
    def require(cls, name: str, *, cache: Path) -> None:
        """Check that the net's files are here; raises NetMissing or NetInvalid."""
        if net_folder(name, cache) is None:
            require_listed(cls.family, name, cache=cache)

    def embed(
        self,
        texts: Sequence[str],
        *,
        token_budget: int = TOKEN_BUDGET,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[V]:
        """Return what the net says of each text, in the order given."""
        lengths = np.array([len(row) for row in self._reader.read(texts)], dtype=np.int64)
        found: dict[int, V] = {}
        for batch in plan_batches(lengths, token_budget):
            rows = batch.tolist()
            fitting = [self._reader.fit(texts[row]) for row in rows]
            answers = self._model.embed(fitting, batch_size=len(fitting))
            found.update(zip(rows, map(self._answer, answers), strict=True))
            if on_progress is not None:
                on_progress(len(found))
        return [found[row] for row in range(len(texts))]

    def embed_query(self, text: str) -> V:
        """Return what the net says of a query, which may differ from what it says of a text."""
        return self._answer(next(iter(self._model.query_embed(mend(text)))))

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where each token of a text begins and ends."""
        return self._reader.spans(text)

    @abstractmethod
    def _answer(self, found: Any) -> V:
        """Return the library's answer in our form."""


class SpladeNet(TokenNet[SparseVector]):
    """Weights of terms of its vocabulary, also of terms that the text does not use."""

    family = "SparseTextEmbedding"

    def _answer(self, found: Any) -> SparseVector:
        order = np.argsort(found.indices)
        return SparseVector(
            np.asarray(found.indices, np.uint32)[order], np.asarray(found.values, np.float32)[order]
        )


class ColbertNet(TokenNet[Floats]):
    """A vector for each token, of length 1."""

    family = "LateInteractionTextEmbedding"

    def __init__(self, name: str, *, dimension: int, cache: Path, threads: int = 1) -> None:
        super().__init__(name, cache=cache, threads=threads)
        self._dimension = dimension

    @classmethod
    def dimension(cls, name: str, *, cache: Path, given: int | None) -> int:
        """Return the length of the vectors; a folder's net does not say it, so it is given."""
        if net_folder(name, cache) is None:
            return listed_dimension(cls.family, name, cache=cache)
        if given is None:
            raise NetInvalid(
                f"the folder of net {name} does not say how long its vectors are",
                "give the parameter `dimension`",
            )
        return given

    def _answer(self, found: Any) -> Floats:
        vectors: Floats = np.ascontiguousarray(found, dtype=np.float32)
        if vectors.shape[1] != self._dimension:
            raise NetInvalid(
                f"net {self.name} makes vectors of {vectors.shape[1]}, not of {self._dimension}"
            )
        return vectors
