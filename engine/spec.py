"""What an extractor is: its spec, its result, and the base class that owns the checks.

An extractor is a pure function over Arrow record batches. It imports heavy libraries in `setup()`
only, never sees ids, and answers with one row of documents for each document, each naming the input
row it came from.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from models.errors import ErrorCategory
from models.fields import FieldType, VectorField

ROW: Final = "row"  # column of the documents: index of the input row
InputKind = Literal["text", "json"]
Progress = Callable[[int], None]


class Parameters(BaseModel):
    """Parameters of an extractor; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class InputSpec:
    """One input column: `text` holds strings, `json` holds JSON documents as strings."""

    name: str
    kind: InputKind
    description: str
    required: bool = True


@dataclass(frozen=True)
class OutputSpec:
    """One output column; `json` marks strings that hold JSON documents."""

    name: str
    type: FieldType
    arrow: pa.DataType
    description: str
    json: bool = False


@dataclass(frozen=True)
class ExtractorSpec:
    """Everything that is known of an extractor without running it."""

    name: str
    version: str
    description: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    parameters: type[Parameters]
    vectors: Callable[[Parameters], tuple[VectorField, ...]]
    position_fields: tuple[str, ...] = ()
    needs_whole_tier: bool = False
    cpus: float = 1.0

    @property
    def label(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class RowFailure:
    """One input row that could not be extracted; its neighbours are unaffected."""

    row: int
    category: ErrorCategory
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Extraction:
    """The documents of some rows, in the order of the rows, and the rows that failed.

    `documents` has the column `row`, the spec's outputs, and one fixed-size list of float32 for
    each vector.
    """

    documents: pa.Table
    failures: list[RowFailure] = field(default_factory=list)


class Extractor(ABC):
    """A versioned function from rows to documents."""

    spec: ClassVar[ExtractorSpec]

    def __init__(self, parameters: Parameters, *, cache: Path) -> None:
        self.parameters = parameters
        self.cache = cache

    def setup(self) -> None:  # noqa: B027  # optional: light extractors have nothing to load
        """Load what is heavy; called once in each process that extracts."""

    @abstractmethod
    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Return the documents of `rows`.

        Call `progress` with what is done so far, in any unit that grows every few seconds: a block
        whose number stands still for the length of its lease is taken away.
        """

    def encode_query(self, text: str) -> npt.NDArray[np.float32]:
        """Return the vector that a search for `text` compares with; shape (dimension,)."""
        raise NotImplementedError(f"{self.spec.label} has no vector to search by.")

    def run(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Extract and check: columns, rows in order and in range, none both failed and there.

        Raises:
            ValueError: the extractor broke its own spec.
        """
        result = self.extract(rows, progress)
        self._require_schema(result.documents)
        made = result.documents.column(ROW).to_numpy()
        failed = np.array([failure.row for failure in result.failures], dtype=np.int64)
        if len(made) and (np.any(np.diff(made) < 0) or made[0] < 0 or made[-1] >= rows.num_rows):
            raise ValueError(f"{self.spec.label}: documents are not in the order of the rows")
        if len(failed) and (failed.min() < 0 or failed.max() >= rows.num_rows):
            raise ValueError(f"{self.spec.label}: a failure names row {failed.max()}, not there")
        if np.intersect1d(made, failed).size:
            raise ValueError(f"{self.spec.label}: a failed row has documents")
        for vector in self.spec.vectors(self.parameters):
            self._require_numbers(vector.name, result.documents.column(vector.name))
        return result

    def schema(self) -> pa.Schema:
        """Return the Arrow schema of the documents."""
        vectors = self.spec.vectors(self.parameters)
        return pa.schema(
            [
                pa.field(ROW, pa.int32()),
                *(pa.field(output.name, output.arrow) for output in self.spec.outputs),
                *(pa.field(v.name, pa.list_(pa.float32(), v.dimension)) for v in vectors),
            ]
        )

    def _require_schema(self, documents: pa.Table) -> None:
        expected = self.schema()
        if not documents.schema.equals(expected):
            raise ValueError(f"{self.spec.label}: expected {expected}, got {documents.schema}")

    def _require_numbers(self, name: str, vectors: pa.ChunkedArray) -> None:
        if vectors.null_count:
            raise ValueError(f"{self.spec.label}: {name} is missing")
        if not np.isfinite(vectors.combine_chunks().flatten().to_numpy(zero_copy_only=False)).all():
            raise ValueError(f"{self.spec.label}: {name} holds a number that is not finite")
