"""text@v1: splits a text into pieces and embeds each; one document a piece."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import ClassVar, Self

import pyarrow as pa
from pydantic import Field, model_validator

from engine.nets import DEFAULT_NET, Net, NetError, load_net, net_dimension
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
from engine.splitting import Piece, SplitBy, split_text
from engine.vector_columns import dense_column
from models.errors import ErrorCategory, ExtractorUnavailable
from models.fields import FieldType, VectorField
from models.points import Floats, QueryVector

VECTOR = "embedding"
_MAX_PIECES = 20_000  # of one text; some 30 MB of vectors


class TextParameters(Parameters):
    """How to split, and which net embeds."""

    split_by: SplitBy = Field(
        "none", description="Unit in which chunk_size and chunk_overlap count."
    )
    chunk_size: int = Field(1000, ge=1, le=10_000, description="Units in a piece.")
    chunk_overlap: int = Field(0, ge=0, le=5_000, description="Units shared by neighbours.")
    net: str = Field(
        DEFAULT_NET, description="Sentence-embedding net: a name, or a folder on the server."
    )
    token_budget: int = Field(512, ge=16, le=65_536, description="Tokens in one call of the net.")

    @model_validator(mode="after")
    def _overlap_leaves_progress(self) -> Self:
        if self.chunk_overlap >= self.chunk_size:
            raise ValueError("chunk_overlap must be smaller than chunk_size")
        return self


def _vectors(parameters: Parameters, cache: Path) -> tuple[VectorField, ...]:
    assert isinstance(parameters, TextParameters)  # the spec's own model
    return (VectorField(name=VECTOR, dimension=net_dimension(parameters.net, cache=cache)),)


@dataclass
class _Pieces:
    """Columns of the documents to be, before their vectors."""

    rows: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def append(self, row: int, index: int, piece: Piece) -> None:
        self.rows.append(row)
        self.texts.append(piece.text)
        self.chunks.append(index)
        self.starts.append(piece.start)
        self.ends.append(piece.end)


class TextExtractor(Extractor):
    """Split and embed."""

    spec: ClassVar = ExtractorSpec(
        name="text",
        version="v1",
        description="Splits a text into pieces and embeds each with a sentence-embedding net.",
        inputs=(InputSpec("text", "text", "The text."),),
        outputs=(
            OutputSpec("text", FieldType.STRING, pa.large_string(), "The piece."),
            OutputSpec("chunk_index", FieldType.INTEGER, pa.int32(), "Place in its text, from 0."),
            OutputSpec("start_char", FieldType.INTEGER, pa.int32(), "First character, from 0."),
            OutputSpec("end_char", FieldType.INTEGER, pa.int32(), "One past the last character."),
        ),
        parameters=TextParameters,
        vectors=_vectors,
        position_fields=("chunk_index",),
    )
    parameters: TextParameters
    _net: Net

    def setup(self) -> None:
        """Load the net, on one thread: a process for each core beats threads in one process.

        Raises:
            ExtractorUnavailable: the net or its library is not on this machine.
        """
        try:
            self._net = load_net(self.parameters.net, cache=self.cache, threads=1)
        except NetError as error:
            raise ExtractorUnavailable(error.message, hint=error.hint) from error

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Split every text, then embed all pieces of the block together, sorted by length."""
        pieces, failures = self._split(rows.column("text").to_pylist())
        vectors = self._net.embed(
            pieces.texts, token_budget=self.parameters.token_budget, on_progress=progress
        )
        return Extraction(self._table(pieces, vectors), failures)

    def encode_query(self, text: str, vector: str) -> QueryVector:
        """Embed a query as the pieces are embedded."""
        encoded: Floats = self._net.embed([text])[0]
        return encoded

    def _split(self, texts: list[str]) -> tuple[_Pieces, list[RowFailure]]:
        pieces, failures = _Pieces(), []
        for row, text in enumerate(texts):
            if not text.strip():
                failures.append(_empty(row))
                continue
            found = list(islice(self._pieces(text), _MAX_PIECES + 1))
            if len(found) > _MAX_PIECES:
                failures.append(_too_many(row))
                continue
            for index, piece in enumerate(found):
                pieces.append(row, index, piece)
        return pieces, failures

    def _pieces(self, text: str) -> Iterator[Piece]:
        return split_text(
            text,
            self.parameters.split_by,
            chunk_size=self.parameters.chunk_size,
            chunk_overlap=self.parameters.chunk_overlap,
        )

    def _table(self, pieces: _Pieces, vectors: Floats) -> pa.Table:
        return pa.table(
            {
                ROW: pa.array(pieces.rows, pa.int32()),
                "text": pa.array(pieces.texts, pa.large_string()),
                "chunk_index": pa.array(pieces.chunks, pa.int32()),
                "start_char": pa.array(pieces.starts, pa.int32()),
                "end_char": pa.array(pieces.ends, pa.int32()),
                VECTOR: dense_column(vectors),
            },
            schema=self.schema(),
        )


def _empty(row: int) -> RowFailure:
    return RowFailure(
        row,
        ErrorCategory.VALIDATION,
        "The text is empty.",
        hint="Give the object some text, or leave it out of the batch.",
    )


def _too_many(row: int) -> RowFailure:
    return RowFailure(
        row,
        ErrorCategory.RESOURCE,
        f"The text splits into more than {_MAX_PIECES} pieces.",
        hint="Choose a larger chunk_size or a smaller chunk_overlap.",
    )
