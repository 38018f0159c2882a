"""Subscriptions over HTTP: server-sent events (distinct connections) and multipart.

Lines end with a bare LF, for clients that cut frames at empty lines. A stream that ends because the
server does is not completed: its client comes back with its cursor and misses nothing.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Final

from graphql_api.operations.streaming import Frame
from graphql_api.transport.negotiation import EVENTS, MULTIPART, Stream
from models.ending import end_tasks

_COMMON: Final = [
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"vary", b"accept"),
]
_RETRY_MILLISECONDS: Final = (500, 3000)


class Framing(ABC):
    """How one kind of stream is written."""

    headers: list[tuple[bytes, bytes]]
    opening: bytes
    heartbeat: bytes
    ending: bytes

    @abstractmethod
    def next(self, frame: Frame) -> bytes:
        """Return a result."""

    @abstractmethod
    def interrupted(self) -> bytes:
        """Return what is said before the server leaves."""


class EventStream(Framing):
    """Server-sent events."""

    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), *_COMMON]
    opening = b":\n\n"
    heartbeat = b":\n\n"
    ending = b"event: complete\ndata:\n\n"

    def next(self, frame: Frame) -> bytes:
        """Return a result; its cursor is the event's id."""
        identity = b"" if frame.cursor is None else b"id: " + frame.cursor.encode() + b"\n"
        return identity + b"event: next\ndata: " + frame.payload + b"\n\n"

    def interrupted(self) -> bytes:
        """Return how long to wait before coming back."""
        return f"retry: {random.randint(*_RETRY_MILLISECONDS)}\n\n".encode()


class Multipart(Framing):
    """Parts of one body, each with a payload."""

    _head = b"\r\ncontent-type: application/json; charset=utf-8\r\n\r\n"
    headers = [
        (b"content-type", b'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'),
        *_COMMON,
    ]
    opening = b"--graphql"
    heartbeat = _head + b"{}\r\n--graphql"
    ending = b"--\r\n"

    def next(self, frame: Frame) -> bytes:
        """Return a result, and the boundary after it, for which clients wait."""
        return self._head + b'{"payload":' + frame.payload + b"}\r\n--graphql"

    def interrupted(self) -> bytes:
        """Return nothing: a body that stops before its last boundary was cut."""
        return b""


FRAMINGS: Final[Mapping[Stream, Framing]] = {EVENTS: EventStream(), MULTIPART: Multipart()}


async def write_stream(
    frames: AsyncIterator[Frame], framing: Framing, *, seconds: float, leaving: asyncio.Event
) -> AsyncGenerator[bytes, None]:
    """Yield a stream's bytes: results, heartbeats between them, and how it ended."""
    left = asyncio.ensure_future(leaving.wait())
    upcoming: asyncio.Task[Frame | None] | None = None
    try:
        yield framing.opening
        while True:
            upcoming = upcoming or asyncio.create_task(_take(frames))
            done, _ = await asyncio.wait(
                {upcoming, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if upcoming in done:
                frame, upcoming = upcoming.result(), None
                if frame is None:
                    yield framing.ending
                    return
                yield framing.next(frame)
            elif left in done:
                yield framing.interrupted()
                return
            else:
                yield framing.heartbeat
    finally:
        await end_tasks(*(one for one in (left, upcoming) if one is not None))


async def _take(frames: AsyncIterator[Frame]) -> Frame | None:
    return await anext(frames, None)
