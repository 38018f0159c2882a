"""What extractors of texts share: how a text is split, and the columns of its pieces."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Self

import pyarrow as pa
from pydantic import Field, model_validator

from engine.packing import Span
from engine.spec import ROW, InputSpec, OutputSpec, Parameters, RowFailure
from engine.splitting import LARGEST_CHUNK, LARGEST_OVERLAP, Piece, SplitBy, split_text
from models.errors import ErrorCategory
from models.fields import FieldType

INPUTS: Final = (InputSpec("text", "text", "The text."),)
OUTPUTS: Final = (
    OutputSpec("text", FieldType.STRING, pa.large_string(), "The piece.", filterable=False),
    OutputSpec("chunk_index", FieldType.INTEGER, pa.int32(), "Place in its text, from 0."),
    OutputSpec(
        "start_char", FieldType.INTEGER, pa.int32(), "First character, from 0.", filterable=False
    ),
    OutputSpec(
        "end_char", FieldType.INTEGER, pa.int32(), "One past the last character.", filterable=False
    ),
)
MOST_PIECES: Final = 20_000  # of one text; some 30 MB of vectors


class SplitParameters(Parameters):
    """How to split a text."""

    split_by: SplitBy = Field(
        "none",
        description="What chunk_size and chunk_overlap count; characters for recursive (cut at "
        "paragraphs, then lines, sentences, words) and markdown (a piece begins at each heading).",
    )
    chunk_size: int = Field(1000, ge=1, le=LARGEST_CHUNK, description="Units in a piece.")
    chunk_overlap: int = Field(
        0, ge=0, le=LARGEST_OVERLAP, description="Units shared by neighbours."
    )

    @model_validator(mode="after")
    def _overlap_leaves_progress(self) -> Self:
        if self.chunk_overlap >= self.chunk_size:
            raise ValueError("chunk_overlap must be smaller than chunk_size")
        return self


class WordSplitParameters(SplitParameters):
    """The same where no tokenizer is at hand."""

    @model_validator(mode="after")
    def _words_have_no_tokens(self) -> Self:
        if self.split_by == "tokens":
            raise ValueError("split_by tokens is of nets that run here; split by words")
        return self


@dataclass
class Pieces:
    """Columns of the documents to be, before their vectors."""

    rows: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def append(self, row: int, index: int, piece: Piece) -> None:
        """Add a piece of the text of a row."""
        self.rows.append(row)
        self.texts.append(piece.text)
        self.chunks.append(index)
        self.starts.append(piece.start)
        self.ends.append(piece.end)

    def columns(self) -> dict[str, Any]:
        """Return the columns of `OUTPUTS` and the row."""
        return {
            ROW: pa.array(self.rows, pa.int32()),
            "text": pa.array(self.texts, pa.large_string()),
            "chunk_index": pa.array(self.chunks, pa.int32()),
            "start_char": pa.array(self.starts, pa.int32()),
            "end_char": pa.array(self.ends, pa.int32()),
        }


def split_rows(
    texts: Sequence[str],
    parameters: SplitParameters,
    *,
    tokens: Callable[[str], Iterable[Span]] | None = None,
) -> tuple[Pieces, list[RowFailure]]:
    """Split the text of each row; an empty one, and one of too many pieces, fails its row."""
    pieces, failures = Pieces(), []
    for row, text in enumerate(texts):
        if not text.strip():
            failures.append(_empty(row))
            continue
        found = list(islice(_split(text, parameters, tokens), MOST_PIECES + 1))
        if len(found) > MOST_PIECES:
            failures.append(_too_many(row))
            continue
        for index, piece in enumerate(found):
            pieces.append(row, index, piece)
    return pieces, failures


def _split(
    text: str, parameters: SplitParameters, tokens: Callable[[str], Iterable[Span]] | None
) -> Iterator[Piece]:
    return split_text(
        text,
        parameters.split_by,
        chunk_size=parameters.chunk_size,
        chunk_overlap=parameters.chunk_overlap,
        tokens=tokens,
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
        f"The text splits into more than {MOST_PIECES} pieces.",
        hint="Choose a larger chunk_size or a smaller chunk_overlap.",
    )
