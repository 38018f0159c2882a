"""multipart/form-data, streamed: small fields first, then one file of any size.

S3 ignores what follows the file, so the file is the last thing read. The parser that Starlette
offers spools files itself and is an extra of its own; here the bytes go straight to a blob.
"""

from collections.abc import AsyncIterator
from email.parser import HeaderParser
from typing import Final

from models.embedded.s3_front.errors import S3Error

FIELD_BYTES: Final = 20 * 1024  # of all fields before the file, S3's own limit
LINE_END: Final = b"\r\n"


class FormReader:
    """Read `fields` first, then stream `file`."""

    def __init__(self, stream: AsyncIterator[bytes], content_type: str) -> None:
        self.fields: dict[str, str] = {}
        self.filename = ""
        self._stream = stream
        # The first delimiter has no line end before it; pretend that it had.
        self._buffer = bytearray(LINE_END)
        self._delimiter = LINE_END + b"--" + read_boundary(content_type).encode("latin-1")
        self._read = 0

    async def read_fields(self) -> None:
        """Read up to the first byte of the file; fields are named in lower case."""
        await self._until(self._delimiter)
        while True:
            await self._until(LINE_END)  # a final delimiter, "--", runs into the end instead
            header = HeaderParser().parsestr((await self._until(LINE_END * 2)).decode())
            name = header.get_param("name", header="content-disposition")
            if not isinstance(name, str):
                raise S3Error("MalformedPOSTRequest", "A field has no name")
            if name.lower() == "file":
                self.filename = header.get_filename() or ""
                return
            self.fields[name.lower()] = (await self._until(self._delimiter)).decode()

    async def file(self) -> AsyncIterator[bytes]:
        """The file's bytes, up to the delimiter that ends it; the rest is read and left."""
        hold = len(self._delimiter) - 1
        while (end := self._buffer.find(self._delimiter)) < 0:
            if len(self._buffer) > hold:
                yield bytes(self._buffer[:-hold])
                del self._buffer[:-hold]
            await self._more()
        yield bytes(self._buffer[:end])
        async for _ in self._stream:
            pass

    async def _until(self, mark: bytes) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) > FIELD_BYTES:
                raise S3Error("MaxMessageLengthExceeded", "The fields before the file are too big")
            await self._more()
        self._read += end
        if self._read > FIELD_BYTES:
            raise S3Error("MaxMessageLengthExceeded", "The fields before the file are too big")
        found = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return found

    async def _more(self) -> None:
        data = await anext(self._stream, None)
        if data is None:
            raise S3Error("MalformedPOSTRequest")
        self._buffer += data


def read_boundary(content_type: str) -> str:
    header = HeaderParser().parsestr(f"Content-Type: {content_type}\n\n")
    boundary = header.get_boundary()
    if not boundary:
        raise S3Error("MalformedPOSTRequest", "The content type names no boundary")
    return boundary
