"""Which bytes of an object a request wants, and where in its pieces they lie."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.objects import Piece

RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `first` up to, not including, `end`."""

    first: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.first


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one blob."""

    blob: str
    offset: int
    size: int


def parse_range(text: str | None, size: int) -> Span | None:
    """The span of a Range header; None, as in S3, for forms that are answered in full."""
    match = RANGE.fullmatch((text or "").strip())
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        span = Span(max(size - int(last), 0), size)
    else:
        if last and int(last) < int(first):
            return None
        span = Span(int(first), min(int(last) + 1, size) if last else size)
    if span.size <= 0:
        raise S3Error("InvalidRange", headers={"content-range": f"bytes */{size}"})
    return span


def part_span(pieces: Sequence[Piece], number: int) -> Span:
    """The span of one part of a multipart object."""
    if not 1 <= number <= len(pieces):
        raise S3Error("InvalidPartNumber")
    first = sum(piece.size for piece in pieces[: number - 1])
    return Span(first, first + pieces[number - 1].size)


def segments(pieces: Sequence[Piece], span: Span) -> Iterator[Segment]:
    start = 0
    for piece in pieces:
        first = max(span.first, start)
        end = min(span.end, start + piece.size)
        if first < end:
            yield Segment(piece.blob, first - start, end - first)
        start += piece.size
