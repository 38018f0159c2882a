"""Nets of the CLIP family: pictures and texts in, vectors of one space out.

A folder `<cache>/nets/<name>/` in the layout that the ONNX exports of such nets have:

preprocessor_config.json     size, crop_size, image_mean, image_std
vision_model.onnx            pixel_values -> image_embeds; also under onnx/
text_model.onnx              input_ids (and attention_mask) -> text_embeds; for searches by text
tokenizer.json               for searches by text

Or a name from the list of fastembed, with its files under `<cache>/fastembed/`.
"""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from engine.nets.errors import NetInvalid, NetMissing
from engine.nets.loading import NAME

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = npt.NDArray[np.float32]
_TEXT_OF: Final = {  # nets of fastembed whose texts share a space with pictures
    "Qdrant/clip-ViT-B-32-vision": "Qdrant/clip-ViT-B-32-text",
}
_SIDE: Final = 512  # of the pictures that nets are given; they make them smaller in their own way
_TOKENS: Final = 77  # what CLIP reads of a text


class ImageNet(ABC):
    """A loaded net."""

    side: int = _SIDE

    @abstractmethod
    def embed(self, pixels: bytes, *, height: int, width: int) -> Floats:
        """Return the unit vector of a picture, given as rows of RGB."""

    @abstractmethod
    def embed_text(self, text: str) -> Floats:
        """Return the unit vector of a description."""


def image_net_dimension(name: str, *, cache: Path) -> int:
    """Return the length of a net's vectors without its weights.

    Raises:
        NetMissing, NetInvalid: it is not here, or is no net; the hint says what to do.
    """
    folder = _folder(name, cache)
    if folder is None:
        return _fastembed_dimension(name, cache)
    from engine.nets.session import open_session

    shape = open_session(_graph(folder, "vision_model"), threads=1).get_outputs()[0].shape
    if not isinstance(shape[-1], int):
        raise NetInvalid(f"net {name}: its graph does not say how long its vectors are")
    return shape[-1]


def load_image_net(name: str, *, cache: Path, threads: int) -> ImageNet:
    """Load a net with its weights; raises as `image_net_dimension` does."""
    folder = _folder(name, cache)
    if folder is not None:
        return OnnxImageNet(folder, threads=threads)
    _fastembed_dimension(name, cache)
    return FastembedImageNet(name, cache=cache, threads=threads)


class OnnxImageNet(ImageNet):
    """A folder of files, run by ONNX Runtime."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        from engine.nets.session import open_session

        self._folder = folder
        self._threads = threads
        self._how = _read_preparation(folder)
        self._vision = open_session(_graph(folder, "vision_model"), threads=threads)
        self._text: tuple[Any, InferenceSession] | None = None

    def embed(self, pixels: bytes, *, height: int, width: int) -> Floats:
        """Prepare the picture as the net's folder says, and embed it."""
        values = self._how.apply(np.frombuffer(pixels, np.uint8).reshape(height, width, 3))
        name = self._vision.get_inputs()[0].name
        return _unit(self._vision.run(None, {name: values[None]})[0][0])

    def embed_text(self, text: str) -> Floats:
        """Embed a text; its half of the net is loaded at the first."""
        if self._text is None:
            from engine.nets.session import open_session
            from engine.nets.tokens import open_tokenizer

            session = open_session(_graph(self._folder, "text_model"), threads=self._threads)
            self._text = open_tokenizer(self._folder / "tokenizer.json"), session
        tokenizer, session = self._text
        ids = np.array([tokenizer.encode(text).ids[:_TOKENS]], np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        wanted = {item.name for item in session.get_inputs()}
        answer = session.run(None, {name: given[name] for name in given if name in wanted})
        return _unit(answer[0][0])


class FastembedImageNet(ImageNet):
    """A net of fastembed."""

    def __init__(self, name: str, *, cache: Path, threads: int) -> None:
        from fastembed import ImageEmbedding

        self._name = name
        self._folder = str(cache / "fastembed")
        self._threads = threads
        self._text: Any = None
        try:
            self._net: Any = ImageEmbedding(
                name, cache_dir=self._folder, threads=threads, local_files_only=True
            )
        except ValueError as error:
            raise NetMissing(
                f"the files of net {name} are not here", _fetch(name, self._folder)
            ) from error

    def embed(self, pixels: bytes, *, height: int, width: int) -> Floats:
        """Embed a picture."""
        from PIL import Image

        picture = Image.frombytes("RGB", (width, height), pixels)
        return _unit(next(iter(self._net.embed([picture]))))

    def embed_text(self, text: str) -> Floats:
        """Embed a text by the net that shares the space."""
        if self._text is None:
            from fastembed import TextEmbedding

            if self._name not in _TEXT_OF:
                raise NetMissing(
                    f"no net for texts is known to share a space with {self._name}",
                    f"search by a vector, or use one of {', '.join(_TEXT_OF)}",
                )
            self._text = TextEmbedding(
                _TEXT_OF[self._name],
                cache_dir=self._folder,
                threads=self._threads,
                local_files_only=True,
            )
        return _unit(next(iter(self._text.embed([text]))))


@dataclass(frozen=True)
class Preparation:
    """How a net wants its pictures."""

    size: int  # of the shorter side
    crop: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, picture: npt.NDArray[np.uint8]) -> Floats:
        """Return the middle of a picture as (colours, rows, columns)."""
        from PIL import Image

        height, width = picture.shape[:2]
        scale = self.size / min(height, width)
        wide, high = max(self.crop, round(width * scale)), max(self.crop, round(height * scale))
        image = Image.fromarray(picture).resize((wide, high), Image.Resampling.BICUBIC)
        left, top = (wide - self.crop) // 2, (high - self.crop) // 2
        middle = image.crop((left, top, left + self.crop, top + self.crop))
        values = np.asarray(middle, np.float32) / 255
        values = (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32)


def _read_preparation(folder: Path) -> Preparation:
    path = folder / "preprocessor_config.json"
    try:
        found = json.loads(path.read_text("utf-8"))
        size, crop = found["size"], found.get("crop_size", found["size"])
        side = size["shortest_edge"] if isinstance(size, dict) else size
        return Preparation(
            int(side),
            int(crop["height"] if isinstance(crop, dict) else crop),
            tuple(map(float, found["image_mean"])),
            tuple(map(float, found["image_std"])),
        )
    except FileNotFoundError as error:
        raise NetMissing(f"{path} is not there", "copy it from where the net comes from") from error
    except (ValueError, KeyError, TypeError) as error:
        raise NetInvalid(f"{path} does not say how pictures are prepared") from error


def _folder(name: str, cache: Path) -> Path | None:
    if not NAME.fullmatch(name):
        raise NetInvalid(f"{name!r} is not the name of a net", "use name or owner/name")
    folder = cache / "nets" / name
    return folder if folder.is_dir() else None


def _graph(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.onnx", folder / "onnx" / f"{name}.onnx"):
        if path.is_file():
            return path
    raise NetMissing(f"{folder} has no {name}.onnx", "export that half of the net into it")


def _fastembed_dimension(name: str, cache: Path) -> int:
    place = cache / "nets" / name
    try:
        from fastembed import ImageEmbedding
    except ImportError as error:
        hint = f"put its files into {place}, or pip install fastembed"
        raise NetMissing(f"net {name} is not here", hint) from error
    try:
        dimension = int(ImageEmbedding.get_embedding_size(name))
    except ValueError as error:
        hint = f"put its files into {place}"
        raise NetMissing(f"net {name} is not here, nor in the list of fastembed", hint) from error
    return dimension


def _fetch(name: str, folder: str) -> str:
    call = f"from fastembed import ImageEmbedding as I; I({name!r}, cache_dir={folder!r})"
    return f'where there is a network: python -c "{call}"; then copy the folder here'


def _unit(vector: npt.NDArray[Any]) -> Floats:
    floats = np.asarray(vector, np.float32).reshape(-1)
    return np.asarray(floats / max(float(np.linalg.norm(floats)), 1e-12), np.float32)
