"""ocr@v1: what is written in a picture, line by line, by nets that come with RapidOCR."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import orjson
import pyarrow as pa
from pydantic import Field

from engine.media import MediaExtractor, Part, SourceBlob
from engine.spec import ExtractorSpec, InputSpec, OutputSpec, Parameters
from models.fields import FieldType, VectorField


class OcrParameters(Parameters):
    """How closely it looks, and how sure it must be."""

    side: int = Field(2000, ge=64, le=4000, description="Pixels of the longer side, at most.")
    confidence: float = Field(0.5, ge=0, le=1, description="Lines that are less sure are left out.")


def _no_vectors(_: Parameters, __: Path) -> tuple[VectorField, ...]:
    return ()


class OcrExtractor(MediaExtractor):
    """Read a picture."""

    spec: ClassVar = ExtractorSpec(
        name="ocr",
        version="v1",
        description="The text of a picture, with a box and a confidence for each line.",
        inputs=(InputSpec("image", "blob", "The picture."),),
        outputs=(
            OutputSpec(
                "text",
                FieldType.STRING,
                pa.large_string(),
                "Its lines; absent when there are none.",
                filterable=False,
            ),
            OutputSpec(
                "lines",
                FieldType.ARRAY,
                pa.large_string(),
                "Each with `text`, `confidence` and `box`: four corners in pixels of the picture.",
                json=True,
            ),
            OutputSpec("line_count", FieldType.INTEGER, pa.int32(), "How many lines."),
        ),
        parameters=OcrParameters,
        vectors=_no_vectors,
        memory_mb=1536,
        requires=("rapidocr", "PIL"),
        extra="ocr",
    )
    decoder = "engine.decoders.image"
    parameters: OcrParameters
    _read: Any

    def setup(self) -> None:
        """Start the decoder and load the nets."""
        super().setup()
        from rapidocr import RapidOCR

        threads = {
            f"EngineConfig.onnxruntime.{pool}_op_num_threads": 1 for pool in ("intra", "inter")
        }
        self._read = RapidOCR(params={"Global.log_level": "critical", **threads})

    def request(self, _: SourceBlob) -> dict[str, Any]:
        """Ask for the pixels."""
        return {"thumbnail": 16, "pixels": self.parameters.side}

    def documents(self, parts: Iterator[Part]) -> Iterator[dict[str, Any]]:
        """Make one document of a picture."""
        for part in parts:
            height, width = part.head["pixels"]
            pixels = np.frombuffer(part.blobs[1], np.uint8).reshape(height, width, 3)
            lines = self._lines(pixels[..., ::-1], scale=part.head["width"] / width)
            yield {
                "text": "\n".join(line["text"] for line in lines) or None,
                "lines": orjson.dumps(lines).decode(),
                "line_count": len(lines),
            }

    def _lines(self, pixels: Any, *, scale: float) -> list[dict[str, Any]]:
        found = self._read(np.ascontiguousarray(pixels))
        if found.txts is None or found.boxes is None or found.scores is None:
            return []
        return [
            {
                "text": text,
                "confidence": round(float(score), 4),
                "box": [[round(float(x) * scale), round(float(y) * scale)] for x, y in box],
            }
            for text, score, box in zip(found.txts, found.scores, found.boxes, strict=True)
            if score >= self.parameters.confidence
        ]
