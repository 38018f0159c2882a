"""A net as a folder of files, in the layout that sentence-transformers writes.

config.json                  hidden_size, num_attention_heads, ...: of the architecture
tokenizer.json
model.onnx or onnx/model.onnx, or else model.safetensors of a BERT
sentence_bert_config.json    optional: max_seq_length
1_Pooling/config.json        optional: mean when absent
modules.json                 optional: vectors are scaled to length 1 when absent
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.nets.bert_graph import BertShape, Pooling
from engine.nets.errors import NetInvalid, NetMissing

MODULES: Final = frozenset({"Transformer", "Pooling", "Normalize"})
GRAPHS: Final = ("model.onnx", "onnx/model.onnx")
WEIGHTS: Final = "model.safetensors"
TOKENIZER: Final = "tokenizer.json"
Settings = dict[str, Any]


@dataclass(frozen=True)
class NetFolder:
    """What the files of a net say about it; its weights are not read."""

    name: str
    path: Path
    dimension: int
    max_tokens: int
    pooling: Pooling
    normalize: bool
    pad_id: int
    config: Settings

    @property
    def graph(self) -> Path | None:
        """The ONNX graph that came with the net, if one did."""
        return next((self.path / name for name in GRAPHS if (self.path / name).is_file()), None)

    @property
    def weights(self) -> Path:
        """The weights that a graph can be built from."""
        path = self.path / WEIGHTS
        if not path.is_file():
            raise NetMissing(
                f"net {self.name} has no weights", f"put {WEIGHTS} or {GRAPHS[0]} into {self.path}"
            )
        return path

    @property
    def tokenizer(self) -> Path:
        """The file that describes the tokenizer."""
        path = self.path / TOKENIZER
        if not path.is_file():
            raise NetMissing(
                f"net {self.name} has no tokenizer", f"put its {TOKENIZER} into {self.path}"
            )
        return path

    def bert_shape(self) -> BertShape:
        """Return the shape of the BERT in this folder, or say why it is none."""
        expected = {
            "model_type": "bert",
            "hidden_act": "gelu",
            "position_embedding_type": "absolute",
        }
        for key, value in expected.items():
            if (found := self.config.get(key, value)) != value:
                raise NetInvalid(
                    f"net {self.name}: {key} is {found}, only {value} is built from weights",
                    f"put its {GRAPHS[0]} into {self.path}",
                )
        return BertShape(
            layers=self._number("num_hidden_layers"),
            heads=self._number("num_attention_heads"),
            hidden=self._number("hidden_size"),
            epsilon=float(self.config.get("layer_norm_eps", 1e-12)),
            pooling=self.pooling,
            normalize=self.normalize,
        )

    def _number(self, key: str) -> int:
        return number(self.config, key, self.path)


def read_folder(name: str, path: Path) -> NetFolder:
    """Read the small files of a net."""
    config = _read(path / "config.json")
    if config is None:
        raise NetMissing(f"net {name} has no config.json", f"put it into {path}")
    positions = int(config.get("max_position_embeddings", 512))
    sentence = _read(path / "sentence_bert_config.json") or {}
    return NetFolder(
        name=name,
        path=path,
        dimension=number(config, "hidden_size", path),
        max_tokens=min(int(sentence.get("max_seq_length") or positions), positions),
        pooling=_pooling(name, _read(path / "1_Pooling" / "config.json")),
        normalize=_normalizes(name, _read(path / "modules.json")),
        pad_id=int(config.get("pad_token_id") or 0),
        config=config,
    )


def number(config: Settings, key: str, path: Path) -> int:
    """Return a count of the architecture."""
    value = config.get(key)
    if not isinstance(value, int) or value < 1:
        raise NetInvalid(f"{path / 'config.json'}: {key} is {value!r}, not a positive integer")
    return value


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise NetInvalid(f"{path} cannot be read: {error}") from error


def _pooling(name: str, settings: Settings | None) -> Pooling:
    if settings is None:
        return "mean"
    chosen = {key for key, value in settings.items() if key.startswith("pooling_mode") and value}
    if chosen == {"pooling_mode_mean_tokens"}:
        return "mean"
    if chosen == {"pooling_mode_cls_token"}:
        return "cls"
    raise NetInvalid(f"net {name}: pooling {sorted(chosen)} is not supported, mean and cls are")


def _normalizes(name: str, modules: list[Settings] | None) -> bool:
    if modules is None:
        return True
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    if unknown := set(kinds) - MODULES:
        raise NetInvalid(f"net {name}: modules {sorted(unknown)} are not supported")
    return "Normalize" in kinds
