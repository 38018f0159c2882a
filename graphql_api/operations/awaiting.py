"""Whether a value is to be awaited: Strawberry's quick test, typed as its users want it."""

from collections.abc import Awaitable
from typing import Any, TypeGuard

from strawberry.execution import optimized_is_awaitable


def is_awaitable(value: Any) -> TypeGuard[Awaitable[Any]]:
    """Return whether a value is awaitable."""
    return optimized_is_awaitable(value)
