"""Lines of a file that comes piece by piece: unpacked, cut, parsed; only a few are in memory.

What a file may do to us is bounded here: bytes after unpacking, lines, and bytes of one line.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import InvalidInput
from models.object import Blob
from models.settings import ApiSettings
from workers.object_rows import ObjectDraft

GZIP_TYPES: Final = frozenset({"application/gzip", "application/x-gzip"})
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31  # zlib's word for: with a gzip header
_BOM: Final = b"\xef\xbb\xbf"
_PADDING: Final = b"\x00"  # between the members of a gzip file, or after the last
_MEMBERS: Final = 200_000
_PIECE: Final = 1024 * 1024
_LINES: Final = 500  # together, or fewer of so many bytes
_BYTES: Final = 4 * 1024 * 1024
_QUIET: Final = 32  # pieces without a line, after which the reader shows that it is alive


@dataclass(frozen=True)
class Place:
    """Where a reader stands: after so many lines, at a byte of the unpacked file."""

    line: int = 0
    offset: int = 0

    @classmethod
    def parse(cls, text: str | None) -> "Place":
        """Return the place that `str` wrote; the beginning for None."""
        if text is None:
            return cls()
        line, _, offset = text.partition(":")
        return cls(int(line), int(offset))

    def __str__(self) -> str:
        return f"{self.line}:{self.offset}"


@dataclass(frozen=True)
class Line:
    """One line that is not blank, and the place after it; without a text that is too long."""

    text: bytes | None
    after: Place


class _Blob(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    property: str
    text: str | None = None
    url: str | None = None
    upload_id: str | None = Field(default=None, alias="uploadId")
    media_type: str | None = Field(default=None, alias="mediaType")
    size_bytes: int | None = Field(default=None, alias="sizeBytes")


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    key: str | None = None
    metadata: Any = None
    blobs: list[_Blob] | None = None
    tags: list[str] | None = None
    client_ref: str | None = Field(default=None, alias="clientRef")


@dataclass(frozen=True)
class ParsedLine:
    """A line as the object that it describes, or what is wrong with it."""

    after: Place
    draft: ObjectDraft | None = None
    error: InvalidInput | None = None
    client_ref: str | None = None


def parse_line(line: Line, *, longest: int) -> ParsedLine:
    """Read a line: an object in the words of the API's ObjectInput."""
    if line.text is None:
        too_long = InvalidInput(
            f"The line has more than {longest} bytes.",
            hint="Put long texts on S3 and give their addresses.",
        )
        return ParsedLine(line.after, error=too_long)
    try:
        row = _Row.model_validate(orjson.loads(line.text))
    except orjson.JSONDecodeError as error:
        return ParsedLine(line.after, error=InvalidInput(f"The line is no JSON: {error.msg}."))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        wrong = InvalidInput(f"{first['msg']}.", path=[str(part) for part in first["loc"]])
        return ParsedLine(line.after, error=wrong)
    blobs = [_blob(blob) for blob in row.blobs or ()]
    draft = ObjectDraft(row.key, row.metadata, blobs, tuple(row.tags or ()))
    return ParsedLine(line.after, draft, client_ref=row.client_ref)


def _blob(blob: _Blob) -> Blob:
    size = blob.size_bytes if blob.text is None else len(blob.text.encode())
    return Blob(**{**blob.model_dump(), "size_bytes": size})


async def read_lines(
    pieces: AsyncIterator[bytes], start: Place, settings: ApiSettings
) -> AsyncGenerator[list[Line], None]:
    """Yield the lines after a place, some at once; an empty list says only that it goes on.

    Raises:
        InvalidInput: the file is larger than it may be.
    """
    cutter, waiting, size, quiet = _Cutter(start, settings), list[Line](), 0, 0
    async for piece in pieces:
        found = await asyncio.to_thread(cutter.feed, piece)
        quiet = 0 if found else quiet + 1
        for line in found:
            waiting.append(line)
            size += len(line.text or b"")
            if len(waiting) == _LINES or size >= _BYTES:
                yield waiting
                waiting, size = [], 0
        if quiet == _QUIET:
            yield waiting
            waiting, size, quiet = [], 0, 0
    waiting += cutter.end()
    if waiting:
        yield waiting


class _Cutter:
    """Cuts pieces at line ends, and forgets what is too long while it goes by."""

    def __init__(self, start: Place, settings: ApiSettings) -> None:
        self._at = start
        self._settings = settings
        self._rest = b""
        self._dropped = 0  # bytes of a line that is too long

    def feed(self, piece: bytes) -> list[Line]:
        """Return the lines that end in a piece."""
        if self._at.offset == 0 and not self._rest and not self._dropped:
            _require_text(piece)
        *ended, self._rest = (self._rest + piece).split(b"\n")
        found = [line for text in ended if (line := self._line(text, newline=1)) is not None]
        self._require_size()
        if len(self._rest) > self._settings.max_line_bytes:
            self._dropped += len(self._rest)
            self._rest = b""
        return found

    def end(self) -> list[Line]:
        """Return the last line, if it has no line end."""
        line = self._line(self._rest, newline=0) if self._rest or self._dropped else None
        return [] if line is None else [line]

    def _line(self, text: bytes, *, newline: int) -> Line | None:
        dropped, self._dropped = self._dropped, 0
        length = dropped + len(text) + newline
        self._at = Place(self._at.line + 1, self._at.offset + length)
        if self._at.line > self._settings.max_import_lines:
            raise InvalidInput(
                f"The file has more than {self._settings.max_import_lines} lines.",
                hint="Import it in several files.",
            )
        if dropped or len(text) > self._settings.max_line_bytes:
            return Line(None, self._at)
        text = text.removeprefix(_BOM) if self._at.line == 1 else text
        return Line(text, self._at) if text.strip() else None

    def _require_size(self) -> None:
        size = self._at.offset + self._dropped + len(self._rest)
        if size > self._settings.max_import_bytes:
            raise InvalidInput(
                f"The file holds more than {self._settings.max_import_bytes} bytes.",
                hint="Import it in several files.",
            )


def _require_text(beginning: bytes) -> None:
    if beginning.startswith(_GZIP_MAGIC):
        raise InvalidInput(
            "The file is packed, but its upload does not have the media type application/gzip."
        )


async def unpack(packed: AsyncIterator[bytes], *, skip: int = 0) -> AsyncGenerator[bytes, None]:
    """Yield what a gzip file holds, in pieces of at most one MiB, without its first bytes.

    A piece of what is skipped comes as an empty one: whoever reads sees that it goes on.

    Raises:
        InvalidInput: the file is no gzip file, or is cut short.
    """
    async with aclosing(_unpacked(packed)) as pieces:
        async for piece in pieces:
            yield piece[skip:]
            skip = max(0, skip - len(piece))


async def _unpacked(packed: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    members, member = 0, None
    async for data in packed:
        if member is not None and member.eof:
            data = data.lstrip(_PADDING)
        while data:
            if member is None or member.eof:
                member, members = zlib.decompressobj(_GZIP_WINDOW), members + 1
                _require_members(members)
            full = True
            while full:
                try:
                    piece = await asyncio.to_thread(member.decompress, data, _PIECE)
                except zlib.error as error:
                    raise InvalidInput(f"The file is no gzip file: {error}.") from error
                yield piece
                data = member.unconsumed_tail
                full = not member.eof and (bool(data) or len(piece) == _PIECE)
            data = member.unused_data.lstrip(_PADDING)
    if member is not None and not member.eof:
        raise InvalidInput("The gzip file is cut short.", hint="Send it again.")


def _require_members(count: int) -> None:
    if count > _MEMBERS:
        raise InvalidInput(
            f"The gzip file has more than {_MEMBERS} members.", hint="Pack it as one."
        )
