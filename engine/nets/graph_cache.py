"""Graphs built from weights, kept as files: `<cache>/nets/<name>-<digest>.onnx`.

The digest covers the weights, the shape and the version of the builder, so a file under that name
is always the right one, and may be built by several processes at once: the last rename wins, and
all of them wrote the same.
"""

import hashlib
import os
import tempfile
from pathlib import Path

from engine.nets.bert_graph import BUILDER_VERSION, BertShape, build_bert
from engine.nets.errors import NetInvalid
from engine.nets.folder import NetFolder
from engine.nets.graph_writer import Array


def built_graph(folder: NetFolder, cache: Path, *, afresh: bool = False) -> Path:
    """Return the graph of a folder of weights, building it when there is none yet."""
    shape, weights = folder.bert_shape(), folder.weights
    name = f"{folder.name.replace('/', '--')}-{_digest(shape, weights)}.onnx"
    path = cache / "nets" / name
    if afresh or not path.is_file():
        _write(path, build_bert(shape, _load(weights)))
    return path


def _digest(shape: BertShape, weights: Path) -> str:
    with weights.open("rb") as file:
        content = hashlib.file_digest(file, "sha256")
    content.update(f"{BUILDER_VERSION} {shape}".encode())
    return content.hexdigest()[:16]


def _load(weights: Path) -> dict[str, Array]:
    from safetensors.numpy import load_file

    try:
        tensors: dict[str, Array] = load_file(weights)
    except Exception as error:  # the library raises nothing narrower
        raise NetInvalid(f"{weights} cannot be read: {error}") from error
    return tensors


def _write(path: Path, content: bytes) -> None:
    """Let the file appear whole: a reader never sees half of it, nor does a crash leave it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
