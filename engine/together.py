"""Awaiting many things at once, none of which outlives a failure of another."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from models.errors import StrataError

T = TypeVar("T")


async def together(doing: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return all results in order; raises the first StrataError when the rest have stopped."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in doing]
    except* StrataError as failures:
        raise _first(failures) from None
    return [task.result() for task in tasks]


def _first(failures: BaseExceptionGroup[StrataError]) -> StrataError:
    found = failures.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
