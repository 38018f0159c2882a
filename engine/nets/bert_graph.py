"""The ONNX graph of a BERT sentence encoder, written from its weights.

Laid out for speed: outside attention the tokens are rows of one matrix, so that each linear layer
is one Gemm with its bias; query, key and value share one; the scale of the scores is part of the
query's weights. Standard operators only: ONNX Runtime's SkipLayerNormalization and Attention are
slower on a CPU than what it makes of these (265 against 330 texts/s on one core).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from engine.nets.errors import NetInvalid
from engine.nets.graph_writer import Array, GraphWriter

BUILDER_VERSION: Final = 1  # part of a cached graph's name: raise it with each change of the graph
OUT_OF_SIGHT: Final = 1e9  # taken off the scores of padding: nothing is left of them after softmax
FLOAT: Final = 1  # TensorProto.FLOAT

Pooling = Literal["mean", "cls"]


@dataclass(frozen=True)
class BertShape:
    """What the weights of a BERT do not say of it, and how its tokens become one vector."""

    layers: int
    heads: int
    hidden: int
    epsilon: float
    pooling: Pooling
    normalize: bool


def build_bert(shape: BertShape, weights: Mapping[str, Array]) -> bytes:
    """Return the graph from `input_ids` and `attention_mask` to `embedding`."""
    return _BertGraph(shape, weights).build()


class _BertGraph:
    def __init__(self, shape: BertShape, weights: Mapping[str, Array]) -> None:
        self._shape = shape
        self._weights = weights
        self._graph = GraphWriter()

    def build(self) -> bytes:
        mask = self._graph.op("Cast", "attention_mask", to=FLOAT)
        padding = self._padding(mask)
        tokens = self._embed()
        for layer in range(self._shape.layers):
            tokens = self._layer(f"encoder.layer.{layer}", tokens, padding)
        vectors = self._pool(tokens, mask)
        if self._shape.normalize:
            vectors = self._graph.op("LpNormalization", vectors, axis=-1, p=2)
        return self._graph.finish(
            inputs=["input_ids", "attention_mask"],
            output=vectors,
            name="embedding",
            width=self._shape.hidden,
        )

    def _embed(self) -> str:
        """Word plus position; every token is of type 0, so that row is added to the positions."""
        graph, zero = self._graph, self._graph.integers(0)
        types = self._weight("embeddings.token_type_embeddings.weight")
        positions = self._weight("embeddings.position_embeddings.weight") + types[0]
        table = graph.constant("words", self._weight("embeddings.word_embeddings.weight"))
        length = graph.op("Shape", "input_ids", start=1, end=2)
        places = graph.op("Slice", graph.constant("positions", positions), zero, length, zero)
        words = graph.op("Gather", table, "input_ids")
        return self._norm(self._as_rows(graph.op("Add", words, places)), "embeddings.LayerNorm")

    def _padding(self, mask: str) -> str:
        """Return what to add to the scores, (texts, 1, 1, tokens): 0 where there is a token."""
        graph = self._graph
        absent = graph.op("Sub", mask, graph.number(1))
        spread = graph.op("Unsqueeze", absent, graph.integers(1, 2))
        return graph.op("Mul", spread, graph.number(OUT_OF_SIGHT))

    def _layer(self, layer: str, tokens: str, padding: str) -> str:
        graph = self._graph
        mixed = self._linear(
            self._attend(layer, tokens, padding), f"{layer}.attention.output.dense"
        )
        tokens = self._norm(graph.op("Add", mixed, tokens), f"{layer}.attention.output.LayerNorm")
        wide = graph.op("Gelu", self._linear(tokens, f"{layer}.intermediate.dense"))
        narrow = self._linear(wide, f"{layer}.output.dense")
        return self._norm(graph.op("Add", narrow, tokens), f"{layer}.output.LayerNorm")

    def _attend(self, layer: str, tokens: str, padding: str) -> str:
        graph = self._graph
        query, key, value = self._heads(layer, tokens)
        turned = graph.op("Transpose", key, perm=[0, 1, 3, 2])
        scores = graph.op("Add", graph.op("MatMul", query, turned), padding)
        seen = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), value)
        return self._as_rows(graph.op("Transpose", seen, perm=[0, 2, 1, 3]))

    def _heads(self, layer: str, tokens: str) -> list[str]:
        """Return query, key and value, each as (texts, heads, tokens, size of a head)."""
        graph, heads = self._graph, self._shape.heads
        size = self._shape.hidden // heads
        weight, bias = self._query_key_value(layer, scale=size**-0.5)
        mixed = self._gemm(tokens, f"{layer}.attention.self", weight, bias)
        parts = self._unflatten(mixed, 3, heads, size)
        stacked = graph.op("Transpose", parts, perm=[2, 0, 3, 1, 4])
        single = graph.ops("Split", stacked, graph.integers(1, 1, 1), outputs=3, axis=0)
        return [graph.op("Squeeze", part, graph.integers(0)) for part in single]

    def _query_key_value(self, layer: str, *, scale: float) -> tuple[Array, Array]:
        names = [f"{layer}.attention.self.{name}" for name in ("query", "key", "value")]
        weights = [self._weight(f"{name}.weight").T for name in names]
        biases = [self._weight(f"{name}.bias") for name in names]
        weights[0], biases[0] = weights[0] * np.float32(scale), biases[0] * np.float32(scale)
        return np.concatenate(weights, axis=1), np.concatenate(biases)

    def _pool(self, tokens: str, mask: str) -> str:
        graph = self._graph
        rows = self._unflatten(tokens, self._shape.hidden)
        if self._shape.pooling == "cls":
            return graph.op("Gather", rows, graph.constant("first", np.array(0)), axis=1)
        one = graph.integers(1)
        total = graph.op("MatMul", graph.op("Unsqueeze", mask, one), rows)
        count = graph.op("Max", graph.op("ReduceSum", mask, one, keepdims=1), graph.number(1))
        return graph.op("Div", graph.op("Squeeze", total, one), count)

    def _linear(self, tokens: str, name: str) -> str:
        weight, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._gemm(tokens, name, weight.T, bias)

    def _gemm(self, tokens: str, name: str, weight: Array, bias: Array) -> str:
        graph = self._graph
        weights = graph.constant(f"{name}.weight", weight)
        return graph.op("Gemm", tokens, weights, graph.constant(f"{name}.bias", bias))

    def _norm(self, tokens: str, name: str) -> str:
        scale, shift = f"{name}.weight", f"{name}.bias"
        return self._graph.op(
            "LayerNormalization",
            tokens,
            self._graph.constant(scale, self._weight(scale)),
            self._graph.constant(shift, self._weight(shift)),
            epsilon=self._shape.epsilon,
        )

    def _as_rows(self, tokens: str) -> str:
        shape = self._graph.integers(-1, self._shape.hidden)
        return self._graph.op("Reshape", tokens, shape)

    def _unflatten(self, tokens: str, *sizes: int) -> str:
        """Rows of tokens back to (texts, tokens, *sizes)."""
        graph = self._graph
        whole = graph.op("Shape", "input_ids")
        shape = graph.op("Concat", whole, graph.integers(*sizes), axis=0)
        return graph.op("Reshape", tokens, shape)

    def _weight(self, name: str) -> Array:
        """Return a weight by its name, which some files prefix with that of the architecture."""
        for key in (name, f"bert.{name}"):
            if key in self._weights:
                return self._weights[key].astype(np.float32, copy=False)
        raise NetInvalid(f"the weights have no {name}")
