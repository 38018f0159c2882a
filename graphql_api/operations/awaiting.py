"""Whether a value is to be awaited: Strawberry's quick test, typed as its users want it."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeGuard, cast

from strawberry.execution import optimized_is_awaitable

# No function around it: it is called for each value of an answer.
is_awaitable: Final = cast("Callable[[Any], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable)
