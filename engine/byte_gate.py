"""Bounds the bytes that are under way at once: what pools are sent lies in Ray's object store.

First come, first served, so that something large is not overtaken for ever by what is small.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteGate:
    """Lets `limit` bytes be under way; what is larger than that goes alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Wait for room for so many bytes, and keep it for the block."""
        taken = min(size, self._limit)
        await self._take(taken)
        try:
            yield
        finally:
            self._give_back(taken)

    async def _take(self, size: int) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((size, place))
        self._serve()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._give_back(size)
            else:
                self._serve()  # whoever stood behind us
            raise

    def _give_back(self, size: int) -> None:
        self._free += size
        self._serve()

    def _serve(self) -> None:
        while self._queue:
            size, place = self._queue[0]
            if not place.done() and size > self._free:
                return
            self._queue.popleft()
            if not place.done():
                self._free -= size
                place.set_result(None)
