"""Sentence-embedding nets by name from the list of fastembed, an optional library."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.nets.listed import listed_dimension, open_listed, require_listed
from engine.nets.net import Net
from engine.nets.tokens import TokenReader

if TYPE_CHECKING:
    from engine.nets.tokens import Ids


class FastembedNet(Net):
    """A net of fastembed, which pools and scales in the way that belongs to each net."""

    def __init__(self, name: str, model: Any, *, dimension: int, max_tokens: int) -> None:
        from tokenizers import Tokenizer

        # A copy, as its own pads what it reads.
        tokenizer = Tokenizer.from_str(model.model.tokenizer.to_str())
        reader = TokenReader(tokenizer, max_tokens)
        super().__init__(name, dimension=dimension, max_tokens=max_tokens, reader=reader)
        self._model = model

    def _forward(self, texts: list[str], ids: "list[Ids]") -> npt.NDArray[np.float32]:
        fitting = [self._reader.fit(text) for text in texts]
        vectors = list(self._model.embed(fitting, batch_size=len(fitting)))
        return np.asarray(vectors, dtype=np.float32)


def load_fastembed(name: str, *, cache: Path, threads: int) -> Net:
    """Load a net of fastembed whose files are already under `<cache>/fastembed/`."""
    dimension = fastembed_dimension(name, cache=cache)
    model = open_listed("TextEmbedding", name, cache=cache, threads=threads)
    limit = model.model.tokenizer.truncation["max_length"]
    return FastembedNet(name, model, dimension=dimension, max_tokens=limit)


def fastembed_dimension(name: str, *, cache: Path | None) -> int:
    """Return the length of the vectors of a net that fastembed lists."""
    return listed_dimension("TextEmbedding", name, cache=cache)


def require_fastembed(name: str, *, cache: Path) -> None:
    """Check that a listed net's files are here."""
    require_listed("TextEmbedding", name, cache=cache)
