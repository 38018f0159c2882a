"""Looks at the database that followers of one subject share.

Who was called at some moment needs a look that began no earlier. A call rings for all followers at
once, so the first of them to wake begins one look and the others take what it finds: a thousand
subscribers cost the database as much as one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Looks(Generic[T]):
    """The looks at one subject; the latest is kept."""

    def __init__(self) -> None:
        self.followers = 0
        self._began = float("-inf")
        self._latest: asyncio.Task[T] | None = None

    async def since(self, moment: float, read: Callable[[], Awaitable[T]]) -> T:
        """Return what a look found that began at or after a moment of the loop's clock."""
        latest = self._latest
        if latest is None or self._began < moment:
            self._began = asyncio.get_running_loop().time()
            latest = self._latest = asyncio.ensure_future(_run(read))
            latest.add_done_callback(_retrieve)
        if latest.done():
            return latest.result()
        return await asyncio.shield(latest)  # who began it may leave before the others


class Questions:
    """What is asked within one look: each question is put once, and the answer is for all."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, asyncio.Task[Any]] = {}

    async def once(self, question: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return the answer; who asks first has it read."""
        asked: asyncio.Task[T] | None = self._asked.get(question)
        if asked is None:
            asked = self._asked[question] = asyncio.ensure_future(_run(read))
            asked.add_done_callback(_retrieve)
        return asked.result() if asked.done() else await asyncio.shield(asked)


class SharedLooks:
    """Every subject that somebody follows in this process."""

    def __init__(self) -> None:
        self._subjects: dict[Hashable, Looks[Any]] = {}

    @contextmanager
    def of(self, subject: Hashable) -> Iterator[Looks[Any]]:
        """Follow a subject until the block ends."""
        looks = self._subjects.setdefault(subject, Looks())
        looks.followers += 1
        try:
            yield looks
        finally:
            looks.followers -= 1
            if not looks.followers:
                del self._subjects[subject]


async def _run(read: Callable[[], Awaitable[T]]) -> T:
    return await read()


def _retrieve(task: asyncio.Task[T]) -> None:
    """Take note of a failure even when all who waited for it have left."""
    if not task.cancelled():
        task.exception()
