"""A way to a server on which answers come late, while the test says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PIECE = 65536


@dataclass
class SlowProxy:
    """A TCP proxy; while `slow`, answers wait a little, and the first of so many very long."""

    url: str  # of the server
    usual_seconds: float
    late_seconds: float
    late_every: int
    slow: bool = False
    port: int = 0
    late: int = 0
    _answers: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def through(self) -> str:
        """The server's address, by this way."""
        parts = urlsplit(self.url)
        secrets, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{secrets}{at}127.0.0.1:{self.port}").geturl()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["SlowProxy"]:
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
        parts = urlsplit(self.url)
        back, forth = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, forth))
                group.create_task(self._pump(back, writer, answers=True))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            forth.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        while piece := await source.read(_PIECE):
            if answers and self.slow:
                await asyncio.sleep(self._delay())
            target.write(piece)
            await target.drain()
        raise ConnectionResetError

    def _delay(self) -> float:
        place, self._answers = self._answers % self.late_every, self._answers + 1
        if place:
            return self.usual_seconds
        self.late += 1
        return self.late_seconds
