"""Brings a request's body to a blob or into memory, without stalling the event loop.

The next slice is collected from the network while the last one is hashed and written in a thread.
At most two slices of a body are in memory.
"""

import asyncio
import io
from collections.abc import AsyncIterable, Callable
from threading import Lock
from typing import BinaryIO, Final, TypeVar

from models.embedded.s3_front.call import Call
from models.embedded.s3_front.checksums import Algorithm
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.intake import Intake, Promise, Received, read_promise
from models.embedded.s3_front.objects import Piece
from models.embedded.s3_front.signature import Proof

SLICE: Final = 1 << 20
LARGEST_DOCUMENT: Final = 4 << 20  # 10,000 parts with their checksums fit
Result = TypeVar("Result")
Commit = Callable[[Received, Piece], Result]


async def read_document(call: Call) -> bytes:
    """A small body, whole and checked."""
    promise = read_promise(call.headers, call.proof)
    if (promise.size or 0) > LARGEST_DOCUMENT:
        raise S3Error("MaxMessageLengthExceeded")
    buffer = io.BytesIO()
    intake = Intake(buffer, promise, call.proof)
    async for chunk in call.request.stream():
        intake.feed(chunk)
        if buffer.tell() > LARGEST_DOCUMENT:
            raise S3Error("MaxMessageLengthExceeded")
    intake.finish()
    return buffer.getvalue()


async def keep_body(
    call: Call, commit: Commit[Result], *, wanted: Algorithm | None = None
) -> Result:
    """Stream the body to a new blob, then let `commit` write the row that names it."""
    promise = read_promise(call.headers, call.proof, wanted=wanted)
    return await keep_stream(call, call.request.stream(), promise, call.proof, commit)


async def keep_stream(
    call: Call,
    stream: AsyncIterable[bytes],
    promise: Promise,
    proof: Proof | None,
    commit: Commit[Result],
) -> Result:
    if (promise.size or 0) > promise.limit:
        raise S3Error("EntityTooLarge")
    landing = Landing(call, promise, proof)
    try:
        rest = await pour(stream, landing.feed)
    except BaseException:
        # Not awaited: a cancelled request must not wait, and nothing reads the outcome.
        asyncio.get_running_loop().run_in_executor(None, landing.abandon)
        raise
    # From here on only the thread decides whether the blob stays: a cancellation that came
    # while it commits must not remove an acknowledged body.
    return await asyncio.to_thread(landing.conclude, rest, commit)


class Landing:
    """A blob being written; it ends in a commit or is removed."""

    def __init__(self, call: Call, promise: Promise, proof: Proof | None) -> None:
        self._blobs = call.store.blobs
        self._promise = promise
        self._proof = proof
        self._lock = Lock()  # a slice may still be on its way in when the request is abandoned
        self._abandoned = False
        self._open: tuple[str, BinaryIO, Intake] | None = None

    def feed(self, data: bytes | bytearray) -> None:
        with self._lock:
            if not self._abandoned:
                self._opened()[2].feed(data)

    def conclude(self, rest: bytes | bytearray, commit: Commit[Result]) -> Result:
        blob, file, intake = self._opened()
        try:
            intake.feed(rest)
            received = intake.finish()
            self._blobs.seal(blob, file)
            return commit(received, Piece(blob, received.size))
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            if self._open:
                blob, file, _ = self._open
                file.close()
                self._blobs.drop([blob])

    def _opened(self) -> tuple[str, BinaryIO, Intake]:
        # On first use, so that a small body costs one step in one thread.
        if self._open is None:
            blob, file = self._blobs.create()
            self._open = (blob, file, Intake(file, self._promise, self._proof))
        return self._open


async def pour(stream: AsyncIterable[bytes], feed: Callable[[bytearray], None]) -> bytearray:
    """Feed all slices but the last, which is returned for the thread that finishes."""
    loop = asyncio.get_running_loop()
    busy: asyncio.Future[None] | None = None
    held = bytearray()
    async for chunk in stream:
        held += chunk
        if len(held) >= SLICE:
            if busy:
                await busy
            busy = loop.run_in_executor(None, feed, held)
            held = bytearray()
    if busy:
        await busy
    return held
