"""Nets by name from the list of fastembed, an optional library.

Nothing is downloaded here: a worker that fetches gigabytes at its first text looks like one that
hangs. The hint of the error is the command that does it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.nets.errors import NetInvalid, NetMissing
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
    from fastembed import TextEmbedding

    folder = cache / "fastembed"
    try:
        model: Any = TextEmbedding(
            name, cache_dir=str(folder), threads=threads, local_files_only=True
        )
    except ValueError as error:
        raise NetMissing(f"the files of net {name} are not here", _fetch(name, folder)) from error
    except Exception as error:  # the runtime's own errors share no narrower class
        raise NetInvalid(f"net {name} in {folder} cannot be run: {error}") from error
    limit = model.model.tokenizer.truncation["max_length"]
    return FastembedNet(name, model, dimension=dimension, max_tokens=limit)


def fastembed_dimension(name: str, *, cache: Path | None) -> int:
    """Return the length of the vectors of a net that fastembed lists."""
    place = cache / "nets" / name if cache else f"<cache>/nets/{name}"
    try:
        from fastembed import TextEmbedding
    except ImportError as error:
        hint = f"put its files into {place}, or pip install fastembed"
        raise NetMissing(f"net {name} is not here", hint) from error
    try:
        return int(TextEmbedding.get_embedding_size(name))
    except ValueError as error:
        hint = f"put its files into {place}"
        raise NetMissing(f"net {name} is not here, nor in the list of fastembed", hint) from error


def _fetch(name: str, folder: Path) -> str:
    call = f"from fastembed import TextEmbedding as T; T({name!r}, cache_dir={str(folder)!r})"
    return f'where there is a network: python -c "{call}"; then copy the folder here'
