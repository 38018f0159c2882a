"""GET and HEAD of an object: conditions, ranges, and the bytes, streamed from their files."""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from models.embedded.s3_front.attributes import answer_headers, checksum_headers
from models.embedded.s3_front.blobs import Blobs
from models.embedded.s3_front.call import Call
from models.embedded.s3_front.conditions import check_read
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.objects import StoredObject, require_object
from models.embedded.s3_front.ranges import Segment, Span, parse_range, part_span, segments
from models.embedded.s3_front.store import Store

READ_BYTES: Final = 1 << 20


def head_object(call: Call) -> Response:
    found = require_object(call.store.index.reading, call.bucket, call.key)
    headers, status, _ = describe(call, found)
    return Response(status_code=status, headers=headers)


def get_object(call: Call) -> Response:
    found = pin_object(call.store, call.bucket, call.key)
    streaming = False
    try:
        headers, status, span = describe(call, found)
        wanted = list(segments(found.pieces, span))
        if span.size <= READ_BYTES:  # one step in one thread is all a small object needs
            data = b"".join(slices_of(call.store.blobs, wanted))
            return Response(data, status, headers)
        streaming = True
        return BlobResponse(call.store.blobs, found.blobs, wanted, status=status, headers=headers)
    finally:
        if not streaming:
            call.store.blobs.unpin(found.blobs)


def describe(call: Call, found: StoredObject) -> tuple[dict[str, str], int, Span]:
    """Headers, status and span of the answer, or the refusal that the conditions ask for."""
    check_version(call)
    check_read(call.headers, found)
    headers = answer_headers(found, call.query)
    span = wanted_span(call, found)
    if span is None:
        span = Span(0, found.size)
        status = 200
        if call.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            headers |= checksum_headers(found.checksum)
    else:
        status = 206
        headers["content-range"] = f"bytes {span.first}-{span.end - 1}/{found.size}"
    if "partNumber" in call.query:
        headers["x-amz-mp-parts-count"] = str(len(found.pieces))
    return headers | {"content-length": str(span.size)}, status, span


def wanted_span(call: Call, found: StoredObject) -> Span | None:
    if "partNumber" in call.query:
        span = part_span(found.pieces, call.number("partNumber", 1, highest=10_000))
        return span if span.size else None
    return parse_range(call.headers.get("range"), found.size)


def check_version(call: Call) -> None:
    if call.query.get("versionId", "null") != "null":
        raise S3Error("NoSuchVersion")


class BlobResponse(StreamingResponse):
    """Reads slices in threads while it sends; lets go of the blobs however it ends."""

    def __init__(
        self,
        blobs: Blobs,
        pinned: list[str],
        wanted: list[Segment],
        *,
        status: int,
        headers: dict[str, str],
    ) -> None:
        super().__init__(read_segments(blobs, wanted), status, headers)
        self._blobs = blobs
        self._pinned = pinned

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._blobs.unpin(self._pinned)


async def read_segments(blobs: Blobs, wanted: list[Segment]) -> AsyncIterator[bytes]:
    """The bytes of the segments; the next slice is read while the last one is sent."""
    slices = slices_of(blobs, wanted)
    try:
        ahead = asyncio.ensure_future(asyncio.to_thread(next, slices, b""))
        while data := await ahead:
            ahead = asyncio.ensure_future(asyncio.to_thread(next, slices, b""))
            yield data
    finally:
        await asyncio.shield(ahead)
        slices.close()


def slices_of(blobs: Blobs, wanted: list[Segment]) -> Generator[bytes, None, None]:
    for segment in wanted:
        with blobs.open(segment.blob) as file:
            file.seek(segment.offset)
            yield from read_exactly(file, segment.size)


def read_exactly(file: BinaryIO, size: int) -> Generator[bytes, None, None]:
    while size:
        data = file.read(min(size, READ_BYTES))
        if not data:
            raise EOFError(f"{file.name} is shorter than its row says")
        size -= len(data)
        yield data


def pin_object(store: Store, bucket: str, key: str) -> StoredObject:
    """Read an object and hold its blobs; the caller unpins them when it has read enough."""
    return store.blobs.pin(
        lambda: require_object(store.index.reading, bucket, key), lambda found: found.blobs
    )


@contextmanager
def pinned(call: Call, bucket: str, key: str) -> Iterator[StoredObject]:
    """An object whose blobs stay while the block runs."""
    found = pin_object(call.store, bucket, key)
    try:
        yield found
    finally:
        call.store.blobs.unpin(found.blobs)
