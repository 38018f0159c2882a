"""Ending politely: what is open is told, what is running finishes, nothing new begins.

Websockets close with 1012, spread over a moment, so that their clients do not come back all at
once. Event streams name a random delay for that and end without saying that they are complete.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from models import metrics

_SPREAD: Final = 0.3  # of the time there is
End = Callable[[], Awaitable[None]]


class TooMany(Exception):
    """A caller has as many sockets and streams as one may have."""


class Open:
    """What is open in this process."""

    def __init__(self, per_caller: int) -> None:
        self.draining = asyncio.Event()
        self._per_caller = per_caller
        self._callers: Counter[str] = Counter()
        self._sockets: set[End] = set()
        self._running = 0
        self._streams = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count an operation that is to be finished."""
        self._running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            self._settle()

    @contextmanager
    def stream(self, caller: str) -> Iterator[None]:
        """Count an event stream; raises TooMany."""
        with self._counted(caller):
            self._streams += 1
            self._idle.clear()
            try:
                yield
            finally:
                self._streams -= 1
                self._settle()

    @contextmanager
    def socket(self, end: End) -> Iterator[None]:
        """Register how a websocket is closed."""
        self._sockets.add(end)
        try:
            with metrics.SOCKETS.track_inprogress():
                yield
        finally:
            self._sockets.discard(end)

    @contextmanager
    def _counted(self, caller: str) -> Iterator[None]:
        if self._callers[caller] >= self._per_caller:
            raise TooMany
        self._callers[caller] += 1
        try:
            yield
        finally:
            self._callers[caller] -= 1
            if not self._callers[caller]:
                del self._callers[caller]

    # A socket's caller is known only after its first message.
    counted = _counted

    async def drain(self, seconds: float) -> None:
        """Refuse what is new, let operations finish, end what would go on; within a time."""
        self.draining.set()
        closing = [
            asyncio.create_task(_later(end, random.uniform(0, seconds * _SPREAD)))
            for end in tuple(self._sockets)
        ]
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*closing, return_exceptions=True)
                await self._idle.wait()
        except TimeoutError:
            return
        finally:
            for task in closing:
                task.cancel()

    def _settle(self) -> None:
        if not self._running and not self._streams:
            self._idle.set()


async def _later(end: End, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await end()
