"""A net small enough to write down: a BERT of two layers over eleven words, and what it answers.

`forward` is the architecture in plain numpy, in double precision; it shares nothing with the graph
that is tested against it.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

Array = npt.NDArray[np.float64]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "one", "two", "three", "four", "five", "six", "seven"]
HIDDEN, HEADS, LAYERS, WIDE, POSITIONS = 8, 2, 2, 16, 12
CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "max_position_embeddings": POSITIONS,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}


def write_tiny(
    folder: Path, *, prefix: str = "", config: Mapping[str, object] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Write a folder of weights and return them; `config` changes its config.json."""
    weights = make_weights()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {**CONFIG, **(config or {})})
    write_tokenizer(folder)
    save_file(
        {prefix + name: value for name, value in weights.items()}, folder / "model.safetensors"
    )
    return weights


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def write_tokenizer(folder: Path, *, marks: bool = True) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: place for place, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if marks:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    tokenizer.save(str(folder / "tokenizer.json"))


def make_weights() -> dict[str, npt.NDArray[Any]]:
    chance = np.random.default_rng(7)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{number}" for number in range(LAYERS)):
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            shapes[f"{layer}.attention.{name}.weight"] = (HIDDEN, HIDDEN)
        shapes[f"{layer}.intermediate.dense.weight"] = (WIDE, HIDDEN)
        shapes[f"{layer}.output.dense.weight"] = (HIDDEN, WIDE)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name in [*shapes]:
        if "embeddings" not in name:
            shapes[name.removesuffix("weight") + "bias"] = shapes[name][:1]
    for name in norms:
        shapes |= {f"{name}.weight": (HIDDEN,), f"{name}.bias": (HIDDEN,)}
    return {name: chance.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def forward(weights: dict[str, npt.NDArray[Any]], ids: list[int]) -> Array:
    """Return the state of each token of one text."""

    def weight(name: str) -> Array:
        return weights[name].astype(np.float64)

    def linear(name: str, x: Array) -> Array:
        return x @ weight(f"{name}.weight").T + weight(f"{name}.bias")

    def norm(name: str, x: Array) -> Array:
        x = (x - x.mean(axis=-1, keepdims=True)) / x.std(axis=-1, keepdims=True)
        return x * weight(f"{name}.weight") + weight(f"{name}.bias")

    def attention(layer: str, x: Array) -> Array:
        size = HIDDEN // HEADS
        q, k, v = (
            linear(f"{layer}.attention.self.{name}", x) for name in ("query", "key", "value")
        )
        heads = [slice(head * size, (head + 1) * size) for head in range(HEADS)]
        seen = [softmax(q[:, h] @ k[:, h].T / math.sqrt(size)) @ v[:, h] for h in heads]
        return linear(f"{layer}.attention.output.dense", np.concatenate(seen, axis=1))

    words, places = (
        weight(f"embeddings.{kind}_embeddings.weight") for kind in ("word", "position")
    )
    types = weight("embeddings.token_type_embeddings.weight")
    x = norm("embeddings.LayerNorm", words[ids] + places[: len(ids)] + types[0])
    for layer in (f"encoder.layer.{number}" for number in range(LAYERS)):
        x = norm(f"{layer}.attention.output.LayerNorm", x + attention(layer, x))
        wide = gelu(linear(f"{layer}.intermediate.dense", x))
        x = norm(f"{layer}.output.LayerNorm", x + linear(f"{layer}.output.dense", wide))
    return x


def softmax(x: Array) -> Array:
    powers: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def gelu(x: Array) -> Array:
    curve: Array = x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return curve


def ids_of(text: str, limit: int = POSITIONS) -> list[int]:
    words = [WORDS.index(word) if word in WORDS else 1 for word in text.split()]
    return [2, *words[: limit - 2], 3]
