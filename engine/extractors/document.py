"""document@v1: cuts papers into pages or sections; one document each, ready for text@v1."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pyarrow as pa
from pydantic import Field

from engine.media import MediaExtractor, Part, SourceBlob
from engine.spec import ExtractorSpec, InputSpec, OutputSpec, Parameters
from models.fields import FieldType, VectorField


class DocumentParameters(Parameters):
    """Whether pages are pictured, and how many there may be."""

    picture: int = Field(
        0,
        ge=0,
        le=4000,
        description="Pixels of the longer side of a picture of each PDF page; 0 for none.",
    )
    max_sections: int = Field(
        5000, ge=1, le=20_000, description="Pages or sections; a file with more fails."
    )


def _no_vectors(_: Parameters, __: Path) -> tuple[VectorField, ...]:
    return ()


class DocumentExtractor(MediaExtractor):
    """Read a paper."""

    spec: ClassVar = ExtractorSpec(
        name="document",
        version="v1",
        description="Pages of PDF, slides, sheets, and sections of HTML, Markdown and Word.",
        inputs=(InputSpec("document", "blob", "The file, or a short text of Markdown or HTML."),),
        outputs=(
            OutputSpec(
                "text",
                FieldType.STRING,
                pa.large_string(),
                "What is written there; absent when nothing is.",
                filterable=False,
            ),
            OutputSpec("heading", FieldType.STRING, pa.large_string(), "Heading or first line."),
            OutputSpec("number", FieldType.INTEGER, pa.int32(), "Its place in the file, from 1."),
            OutputSpec(
                "kind", FieldType.STRING, pa.string(), "`page`, `section`, `slide` or `sheet`."
            ),
            OutputSpec("format", FieldType.STRING, pa.string(), "Such as `PDF`, by its bytes."),
            OutputSpec("title", FieldType.STRING, pa.large_string(), "Title of the whole."),
            OutputSpec(
                "metadata",
                FieldType.OBJECT,
                pa.large_string(),
                "What the file says of itself.",
                json=True,
            ),
            OutputSpec(
                "picture",
                FieldType.BLOB,
                pa.large_binary(),
                "A JPEG of the page, if it was asked for.",
                media_type="image/jpeg",
            ),
        ),
        parameters=DocumentParameters,
        vectors=_no_vectors,
        position_fields=("number",),
        memory_mb=1024,
        requires=("pypdfium2", "selectolax", "markdown_it", "docx", "pptx", "openpyxl", "PIL"),
        extra="document",
    )
    decoder = "engine.decoders.document"
    parameters: DocumentParameters

    def request(self, blob: SourceBlob) -> dict[str, Any]:
        """Say what is known of the file."""
        return {
            "media_type": blob.media_type,
            "url": blob.url,
            "picture": self.parameters.picture,
            "sections": self.parameters.max_sections,
        }

    def documents(self, parts: Iterator[Part]) -> Iterator[dict[str, Any]]:
        """Make a document of each page or section."""
        about = next(parts).head
        common = {
            "format": about["format"],
            "title": about["title"],
            "metadata": orjson.dumps(about["metadata"]).decode(),
        }
        for number, part in enumerate(parts, start=1):
            yield {
                **common,
                "text": part.head["text"] or None,
                "heading": part.head["heading"] or None,
                "number": number,
                "kind": part.head["kind"],
                "picture": part.blobs[0] if part.blobs else None,
            }
