"""A way to lose the answer to what was done: the server has heard, and the client never learns."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_PIECE = 65536


@dataclass
class LossyProxy:
    """A TCP proxy that cuts a connection when the answer to certain requests comes."""

    server: tuple[str, int]
    words: tuple[bytes, ...]  # requests that hold one of them are counted,
    every: int  # and the answer to each n-th of them is lost
    port: int = 0
    heard: int = 0
    lost: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["LossyProxy"]:
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
        back, forth = await asyncio.open_connection(*self.server)
        deaf = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask(reader, forth, deaf))
                group.create_task(self._answer(back, writer, deaf))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            forth.transport.abort()

    async def _ask(
        self, reader: asyncio.StreamReader, forth: asyncio.StreamWriter, deaf: asyncio.Event
    ) -> None:
        while piece := await reader.read(_PIECE):
            if any(word in piece for word in self.words):
                self.heard += 1
                if self.heard % self.every == 0:
                    deaf.set()
            forth.write(piece)
            await forth.drain()
        raise ConnectionResetError

    async def _answer(
        self, back: asyncio.StreamReader, writer: asyncio.StreamWriter, deaf: asyncio.Event
    ) -> None:
        while piece := await back.read(_PIECE):
            if deaf.is_set():
                self.lost += 1
                raise ConnectionResetError
            writer.write(piece)
            await writer.drain()
        raise ConnectionResetError
