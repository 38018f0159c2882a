"""passthrough@v1: a document for each row, with the fields that the collection passes through.

With `vector_dimension` it keeps a vector of the upstream document too, so that collections further
down are searched by it without being computed again.
"""

from pathlib import Path
from typing import ClassVar, Literal, cast

import numpy as np
import pyarrow as pa
from pydantic import Field

from engine.spec import (
    ROW,
    Extraction,
    Extractor,
    ExtractorSpec,
    InputSpec,
    OutputSpec,
    Parameters,
    Progress,
    RowFailure,
)
from models.errors import ErrorCategory
from models.fields import FieldType, VectorField

_VECTOR = "vector"


class PassthroughParameters(Parameters):
    """The vector to keep, if any."""

    vector_dimension: int | None = Field(
        default=None, ge=1, le=65_536, description="Numbers of the mapped vector; null: none kept."
    )
    vector_distance: Literal["cosine", "dot"] = Field(
        default="cosine", description="How two of them are compared."
    )


def _dimension(parameters: Parameters) -> int | None:
    return cast(PassthroughParameters, parameters).vector_dimension


def _vectors(parameters: Parameters, _: Path) -> tuple[VectorField, ...]:
    given = cast(PassthroughParameters, parameters)
    if given.vector_dimension is None:
        return ()
    return (
        VectorField(name=_VECTOR, dimension=given.vector_dimension, distance=given.vector_distance),
    )


class PassthroughExtractor(Extractor):
    """Keep the row as it is."""

    spec: ClassVar = ExtractorSpec(
        name="passthrough",
        version="v1",
        costs_little=True,
        description="One document for each row, holding the fields passed through.",
        inputs=(
            InputSpec("content", "json", "Any value, kept under `content`.", required=False),
            InputSpec(
                _VECTOR, "vector", "A vector of the upstream document, kept.",
                required=False, dimension=_dimension,
            ),
        ),
        outputs=(
            OutputSpec(
                "content", FieldType.OBJECT, pa.large_string(), "The mapped value.", json=True
            ),
        ),
        parameters=PassthroughParameters,
        block_rows=2048,
        vectors=_vectors,
    )  # fmt: skip

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Copy `content`, and the vector if one is kept."""
        dimension = _dimension(self.parameters)
        kept, failures = np.arange(rows.num_rows), list[RowFailure]()
        if dimension is not None:
            kept, failures = _complete(rows.column(_VECTOR), dimension)
        columns = {ROW: pa.array(kept, pa.int32()), "content": rows.column("content").take(kept)}
        if dimension is not None:
            numbers = rows.column(_VECTOR).take(kept).flatten()
            columns[_VECTOR] = pa.FixedSizeListArray.from_arrays(numbers, dimension)
        progress(rows.num_rows)
        return Extraction(pa.table(columns, schema=self.schema()), failures)


def _complete(
    vectors: pa.ListArray, dimension: int
) -> "tuple[np.ndarray[tuple[int], np.dtype[np.int64]], list[RowFailure]]":
    """Return the rows that have the vector, and what is wrong with the others."""
    lengths = vectors.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    failures = [
        RowFailure(
            int(row),
            ErrorCategory.VALIDATION,
            f"Its vector has {lengths[row]} numbers, not {dimension}.",
            hint="Give `vector_dimension` the dimension of the upstream vector.",
        )
        for row in np.flatnonzero(lengths != dimension)
    ]
    return np.flatnonzero(lengths == dimension), failures
