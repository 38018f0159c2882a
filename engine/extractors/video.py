"""video@v1: cuts a film into scenes; a document each, with a key frame and its sound."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pyarrow as pa
from pydantic import Field

from engine.media import MediaExtractor, Part, SourceBlob
from engine.spec import ExtractorSpec, InputSpec, OutputSpec, Parameters
from models.fields import FieldType, VectorField


class VideoParameters(Parameters):
    """Where a film is cut."""

    threshold: float = Field(
        10.0, gt=0, le=100, description="Change from one frame to the next that opens a scene."
    )
    shortest: float = Field(1.0, ge=0, le=600, description="Seconds that a scene lasts at least.")
    longest: float = Field(60.0, ge=1, le=3600, description="Seconds after which it is cut.")
    max_seconds: float = Field(7200.0, ge=1, le=14_400, description="A longer film fails.")


def _no_vectors(_: Parameters, __: Path) -> tuple[VectorField, ...]:
    return ()


class VideoExtractor(MediaExtractor):
    """Watch a film."""

    spec: ClassVar = ExtractorSpec(
        name="video",
        version="v1",
        description="Scenes of a film, each with a key frame and its sound for the next tier.",
        inputs=(InputSpec("video", "blob", "The film."),),
        outputs=(
            OutputSpec("scene", FieldType.INTEGER, pa.int32(), "Its place in the film, from 0."),
            OutputSpec("start_seconds", FieldType.NUMBER, pa.float64(), "When it begins."),
            OutputSpec("end_seconds", FieldType.NUMBER, pa.float64(), "When it ends."),
            OutputSpec("width", FieldType.INTEGER, pa.int32(), "Pixels of the film."),
            OutputSpec("height", FieldType.INTEGER, pa.int32(), "Pixels of the film."),
            OutputSpec("tags", FieldType.OBJECT, pa.large_string(), "What it says.", json=True),
            OutputSpec(
                "frame",
                FieldType.BLOB,
                pa.large_binary(),
                "A key frame as JPEG.",
                media_type="image/jpeg",
            ),
            OutputSpec(
                "audio",
                FieldType.BLOB,
                pa.large_binary(),
                "Its sound as FLAC, 16 kHz, one channel; absent when it has none.",
                media_type="audio/flac",
            ),
        ),
        parameters=VideoParameters,
        vectors=_no_vectors,
        position_fields=("scene",),
        memory_mb=2048,
        requires=("av", "PIL"),
        extra="video",
    )
    decoder = "engine.decoders.video"
    parameters: VideoParameters

    def request(self, _: SourceBlob) -> dict[str, Any]:
        """Pass on where to cut."""
        return self.parameters.model_dump()

    def documents(self, parts: Iterator[Part]) -> Iterator[dict[str, Any]]:
        """Make a document of each scene; parts without blobs are signs of life."""
        scenes = (part for part in parts if part.blobs)
        for number, part in enumerate(scenes):
            frame, audio = part.blobs
            yield {
                "scene": number,
                "start_seconds": part.head["start"],
                "end_seconds": part.head["end"],
                "width": part.head["width"],
                "height": part.head["height"],
                "tags": orjson.dumps(part.head["tags"]).decode(),
                "frame": frame,
                "audio": audio or None,
            }
