"""A way to a server on which a test may meddle with what is said."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

_PIECE = 65536


class Talk:
    """One connection; either method may wait, or end it by raising ConnectionResetError."""

    async def asked(self, piece: bytes) -> None:
        """Hear a piece that goes to the server."""

    async def answered(self, piece: bytes) -> None:
        """Hear a piece that goes back."""


@dataclass
class TcpProxy(ABC):
    """A TCP proxy; each connection through it is a talk."""

    url: str  # of the server
    port: int = field(default=0, init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    @abstractmethod
    def talk(self) -> Talk:
        """Return what hears a new connection."""

    @property
    def through(self) -> str:
        """The server's address, by this way."""
        parts = urlsplit(self.url)
        secrets, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{secrets}{at}127.0.0.1:{self.port}").geturl()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Self]:
        """Listen on a free port until the block ends."""
        listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = listening.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listening.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        place, talk = urlsplit(self.url), self.talk()
        back, forth = await asyncio.open_connection(place.hostname, place.port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, talk.asked, forth))
                group.create_task(_pump(back, talk.answered, writer))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            forth.transport.abort()


async def _pump(
    source: asyncio.StreamReader,
    hears: Callable[[bytes], Awaitable[None]],
    target: asyncio.StreamWriter,
) -> None:
    while piece := await source.read(_PIECE):
        await hears(piece)
        target.write(piece)
        await target.drain()
    raise ConnectionResetError
