"""image@v1: what is known of a picture, a thumbnail, and its vector by a net of the CLIP family."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import orjson
import pyarrow as pa
from pydantic import Field

from engine.media import MediaExtractor, Part, SourceBlob
from engine.nets import NetError
from engine.nets.image_net import ImageNet, image_net_dimension, load_image_net
from engine.spec import ExtractorSpec, InputSpec, OutputSpec, Parameters
from models.errors import ExtractorUnavailable
from models.fields import FieldType, VectorField
from models.points import QueryVector

VECTOR: Final = "embedding"


class ImageParameters(Parameters):
    """The size of the thumbnail, and which net embeds."""

    thumbnail: int = Field(256, ge=16, le=2048, description="Pixels of its longer side.")
    net: str | None = Field(
        None, description="Net of the CLIP family: a name, or a folder on the server; or none."
    )


def _vectors(parameters: Parameters, cache: Path) -> tuple[VectorField, ...]:
    assert isinstance(parameters, ImageParameters)  # the spec's own model
    if parameters.net is None:
        return ()
    return (VectorField(name=VECTOR, dimension=image_net_dimension(parameters.net, cache=cache)),)


class ImageExtractor(MediaExtractor):
    """Look at a picture."""

    spec: ClassVar = ExtractorSpec(
        name="image",
        version="v1",
        description="Size, EXIF, thumbnail, perceptual hash and colours of a picture; its vector.",
        inputs=(InputSpec("image", "blob", "The picture; of an animation its first frame."),),
        outputs=(
            OutputSpec("width", FieldType.INTEGER, pa.int32(), "Pixels, turned upright."),
            OutputSpec("height", FieldType.INTEGER, pa.int32(), "Pixels, turned upright."),
            OutputSpec("format", FieldType.STRING, pa.string(), "Such as `JPEG`, by its bytes."),
            OutputSpec("exif", FieldType.OBJECT, pa.large_string(), "What it says.", json=True),
            OutputSpec(
                "perceptual_hash",
                FieldType.STRING,
                pa.string(),
                "64 bits in hex; similar pictures differ in few of them.",
            ),
            OutputSpec(
                "colours",
                FieldType.ARRAY,
                pa.large_string(),
                "Those that cover most of it, as `hex` and `share`.",
                json=True,
            ),
            OutputSpec(
                "thumbnail",
                FieldType.BLOB,
                pa.large_binary(),
                "A small JPEG of it.",
                media_type="image/jpeg",
            ),
        ),
        parameters=ImageParameters,
        vectors=_vectors,
        memory_mb=1024,
        requires=("PIL",),
        extra="image",
    )
    decoder = "engine.decoders.image"
    parameters: ImageParameters
    _net: ImageNet | None = None

    def setup(self) -> None:
        """Start the decoder and load the net, if there is one.

        Raises:
            ExtractorUnavailable: the net or its library is not on this machine.
        """
        super().setup()
        if self.parameters.net is not None:
            try:
                self._net = load_image_net(self.parameters.net, cache=self.cache, threads=1)
            except NetError as error:
                raise ExtractorUnavailable(error.message, hint=error.hint) from error

    def request(self, blob: SourceBlob) -> dict[str, Any]:
        """Ask for pixels only when a net looks at them."""
        return {
            "thumbnail": self.parameters.thumbnail,
            "pixels": 0 if self._net is None else self._net.side,
        }

    def documents(self, parts: Iterator[Part]) -> Iterator[dict[str, Any]]:
        """Make one document."""
        for part in parts:
            head = part.head
            document = {
                "width": head["width"],
                "height": head["height"],
                "format": head["format"],
                "exif": orjson.dumps(head["exif"]).decode(),
                "perceptual_hash": head["hash"],
                "colours": orjson.dumps(head["colours"]).decode(),
                "thumbnail": part.blobs[0],
            }
            if self._net is not None:
                height, width = head["pixels"]
                document[VECTOR] = self._net.embed(part.blobs[1], height=height, width=width)
            yield document

    def encode_query(self, text: str, vector: str) -> QueryVector:
        """Embed a description by the net's other half."""
        if self._net is None:
            raise ExtractorUnavailable(
                "The collection's pictures have no vectors.", hint="Give its extractor a `net`."
            )
        return self._net.embed_text(text)
