"""A way to lose a connection in the middle, as networks do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class CuttingProxy:
    """A TCP proxy that resets the first websockets through it after so many server messages."""

    base_url: str
    cuts: list[int]
    sockets: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        place = urlsplit(self.base_url)
        back, forth = await asyncio.open_connection(place.hostname, place.port)
        request = await reader.read(65536)
        forth.write(request)
        left = self._allowance() if b"upgrade: websocket" in request.lower() else None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, forth))
                group.create_task(self._pump(back, writer, left))
        except* ConnectionError:
            pass
        finally:
            writer.transport.abort()
            forth.transport.abort()

    def _allowance(self) -> int | None:
        self.sockets += 1
        return self.cuts.pop(0) if self.cuts else None

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None = None
    ) -> None:
        while piece := await reader.read(65536):
            if left == 0:
                raise ConnectionResetError
            writer.write(piece)
            await writer.drain()
            left = left and left - 1
        raise ConnectionResetError
