"""A net that runs on ONNX Runtime: pads the tokens of a batch, runs it, pools what comes out."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from engine.nets.errors import NetInvalid
from engine.nets.net import Net

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from engine.nets.bert_graph import Pooling
    from engine.nets.folder import NetFolder
    from engine.nets.tokens import Ids, TokenReader

Vectors = npt.NDArray[np.float32]
INPUTS: Final = frozenset({"input_ids", "attention_mask", "token_type_ids"})
POOLED: Final = (
    "sentence_embedding"  # the output that is a vector a text, where a graph has several
)


class OnnxNet(Net):
    """A net over an ONNX graph whose output is one vector a text, or one a token."""

    def __init__(
        self, folder: "NetFolder", *, session: "InferenceSession", reader: "TokenReader"
    ) -> None:
        super().__init__(
            folder.name, dimension=folder.dimension, max_tokens=folder.max_tokens, reader=reader
        )
        self._session = session
        self._folder = folder
        self._inputs = {node.name for node in session.get_inputs()}
        self._output = self._choose_output()
        if not {"input_ids"} <= self._inputs <= INPUTS:
            known = sorted(INPUTS)
            raise NetInvalid(f"net {self.name} asks for {sorted(self._inputs)}; known: {known}")

    def _choose_output(self) -> str:
        outputs = {node.name: node for node in self._session.get_outputs()}
        chosen = outputs.get(POOLED) or next(iter(outputs.values()))
        size = chosen.shape[-1] if chosen.shape else None
        if isinstance(size, int) and size != self.dimension:
            raise NetInvalid(f"net {self.name} makes vectors of {size}, not of {self.dimension}")
        return str(chosen.name)

    def _forward(self, texts: list[str], ids: "list[Ids]") -> Vectors:
        tokens, mask = pad(ids, self._folder.pad_id)
        offered = {
            "input_ids": tokens,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        feed = {name: offered[name] for name in self._inputs}
        output: npt.NDArray[Any] = self._session.run([self._output], feed)[0]
        if output.ndim == 2:
            return output.astype(np.float32, copy=False)
        vectors = pool(output, mask, self._folder.pooling)
        return unit(vectors) if self._folder.normalize else vectors


def pad(ids: "list[Ids]", pad_id: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the ids as one matrix and which of it are tokens; at least one column wide."""
    width = max(1, *(len(row) for row in ids))
    tokens = np.full((len(ids), width), pad_id, dtype=np.int64)
    mask = np.zeros_like(tokens)
    for row, values in enumerate(ids):
        tokens[row, : len(values)] = values
        mask[row, : len(values)] = 1
    return tokens, mask


def pool(states: npt.NDArray[Any], mask: npt.NDArray[np.int64], pooling: "Pooling") -> Vectors:
    """Make one vector of the states of a text's tokens, (texts, tokens, size) to (texts, size)."""
    if pooling == "cls":
        return states[:, 0].astype(np.float32, copy=False)
    weights = mask.astype(np.float32)
    total = np.einsum("bts,bt->bs", states.astype(np.float32, copy=False), weights)
    mean: Vectors = total / np.maximum(weights.sum(axis=1, keepdims=True), 1)
    return mean


def unit(vectors: Vectors) -> Vectors:
    """Scale each vector to length 1; one of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled
