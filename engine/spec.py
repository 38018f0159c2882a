"""What an extractor is: its spec, its result, and the base class that owns the checks.

An extractor is a pure function over Arrow record batches. It imports heavy libraries in `setup()`
only, never sees ids, and answers with one row of documents for each document, each naming the input
row it came from.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from engine.vector_columns import column_type, require_vectors
from models.endpoints import Endpoints
from models.errors import ErrorCategory
from models.fields import FieldType, VectorField
from models.points import QueryVector

ROW: Final = "row"  # column of the documents: index of the input row
InputKind = Literal["text", "json", "blob", "vector"]
Progress = Callable[[int], None]
BLOB: Final = pa.struct(
    [
        pa.field("data", pa.large_binary()),
        pa.field("media_type", pa.string()),  # as somebody said, or null
        pa.field("url", pa.string()),  # where it came from; null when it came inline
    ]
)


class Parameters(BaseModel):
    """Parameters of an extractor; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class InputSpec:
    """One input column.

    `text` holds strings, `json` JSON documents as strings, `blob` bytes with what is said of them,
    as `BLOB` lays it out, `vector` one of the upstream document's own, as a list of float32.
    """

    name: str
    kind: InputKind
    description: str
    required: bool = True
    dimension: Callable[[Parameters], int | None] | None = None  # of a vector; None: not wanted


@dataclass(frozen=True)
class OutputSpec:
    """One output column; `json` marks strings that hold JSON documents.

    A column with a `media_type` holds bytes. They are stored on S3, and a document holds their
    address, which a collection of the next tier can map to a `blob` input.
    """

    name: str
    type: FieldType
    arrow: pa.DataType
    description: str
    json: bool = False
    filterable: bool = True  # whether searches may filter by it: not by long texts and positions
    media_type: str | None = None

    @property
    def stored_as_json(self) -> bool:
        """Whether the artifact's column holds JSON documents."""
        return self.json or self.media_type is not None


@dataclass(frozen=True)
class ExtractorSpec:
    """Everything that is known of an extractor without running it.

    `vectors` says what a choice of parameters makes; the folder is where nets are looked for.
    `requires` are the packages that `setup()` imports, by the names under which they are imported;
    `extra` is the extra of ours that installs them.
    """

    name: str
    version: str
    description: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    parameters: type[Parameters]
    vectors: Callable[[Parameters, Path], tuple[VectorField, ...]]
    position_fields: tuple[str, ...] = ()
    needs_whole_tier: bool = False
    costs_little: bool = False  # to compute again, compared with reading what it yielded before
    block_rows: int = 256  # of a block at most: many where a row is light, few where it is heavy
    cpus: float = 1.0
    gpus: float = 0.0
    memory_mb: int = 512
    requires: tuple[str, ...] = ()
    extra: str = ""

    @property
    def label(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def handles_media(self) -> bool:
        """Whether it reads or makes bytes that lie on S3."""
        made = any(output.media_type is not None for output in self.outputs)
        return made or any(item.kind == "blob" for item in self.inputs)


@dataclass(frozen=True)
class RowFailure:
    """One input row that could not be extracted; its neighbours are unaffected.

    A `transient` one is tried again later, no sooner than after `retry_after` seconds, a bounded
    number of times.
    """

    row: int
    category: ErrorCategory
    message: str
    hint: str = ""
    transient: bool = False
    retry_after: float = 0.0


@dataclass(frozen=True)
class Extraction:
    """The documents of some rows, in the order of the rows, and the rows that failed.

    `documents` has the column `row`, the spec's outputs, and a column for each vector, whose type
    goes by its kind (see `engine.vector_columns`).
    """

    documents: pa.Table
    failures: list[RowFailure] = field(default_factory=list)


class Extractor(ABC):
    """A versioned function from rows to documents."""

    spec: ClassVar[ExtractorSpec]

    def __init__(
        self,
        parameters: Parameters,
        *,
        cache: Path,
        endpoints: Endpoints | None = None,
    ) -> None:
        self.parameters = parameters
        self.cache = cache
        self.endpoints = endpoints or {}

    @cached_property
    def vectors(self) -> tuple[VectorField, ...]:
        """The vectors that it makes."""
        return self.spec.vectors(self.parameters, self.cache)

    def require(self) -> None:  # noqa: B027  # optional: most need nothing but their packages
        """Check, without loading it, that what these parameters ask for is on this machine.

        Raises:
            ExtractorUnavailable: it is not; the hint says what to put where.
        """

    def setup(self) -> None:  # noqa: B027  # optional: light extractors have nothing to load
        """Load what is heavy; called once in each process that extracts."""

    @abstractmethod
    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Return the documents of `rows`.

        Call `progress` with what is done so far, in any unit that grows every few seconds: a block
        whose number stands still for the length of its lease is taken away.
        """

    def encode_query(self, text: str, vector: str) -> QueryVector:
        """Return what a search for `text` compares the vector of that name with."""
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
        for vector in self.vectors:
            require_vectors(self.spec.label, vector, result.documents.column(vector.name))
        return result

    def schema(self) -> pa.Schema:
        """Return the Arrow schema of the documents."""
        return pa.schema(
            [
                pa.field(ROW, pa.int32()),
                *(pa.field(output.name, output.arrow) for output in self.spec.outputs),
                *(pa.field(vector.name, column_type(vector)) for vector in self.vectors),
            ]
        )

    def _require_schema(self, documents: pa.Table) -> None:
        expected = self.schema()
        if not documents.schema.equals(expected):
            raise ValueError(f"{self.spec.label}: expected {expected}, got {documents.schema}")
