"""passthrough@v1: a document for each row, with the fields that the collection passes through."""

from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from engine.spec import (
    ROW,
    Extraction,
    Extractor,
    ExtractorSpec,
    InputSpec,
    OutputSpec,
    Parameters,
    Progress,
)
from models.fields import FieldType, VectorField


class PassthroughParameters(Parameters):
    """None."""


def _no_vectors(_: Parameters, __: Path) -> tuple[VectorField, ...]:
    return ()


class PassthroughExtractor(Extractor):
    """Keep the row as it is."""

    spec: ClassVar = ExtractorSpec(
        name="passthrough",
        version="v1",
        description="One document for each row, holding the fields passed through; no vectors.",
        inputs=(InputSpec("content", "json", "Any value, kept under `content`.", required=False),),
        outputs=(
            OutputSpec(
                "content", FieldType.OBJECT, pa.large_string(), "The mapped value.", json=True
            ),
        ),
        parameters=PassthroughParameters,
        vectors=_no_vectors,
    )

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Copy `content`."""
        index = pa.array(range(rows.num_rows), pa.int32())
        content = rows.column("content")
        progress(rows.num_rows)
        return Extraction(pa.table({ROW: index, "content": content}, schema=self.schema()))
