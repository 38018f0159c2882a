"""The ports to the clock on the wall and to chance: what a simulation of many processes replaces.

Everything else that waits or measures time asks the running event loop.
"""

import secrets
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

_clock: Final[ContextVar[Callable[[], datetime] | None]] = ContextVar("clock", default=None)
_chance: Final[ContextVar[Callable[[int], int] | None]] = ContextVar("chance", default=None)


def wall_clock() -> datetime:
    """Return the present in UTC, as this process's clock has it."""
    clock = _clock.get()
    return datetime.now(UTC) if clock is None else clock()


def random_bits(number: int) -> int:
    """Return so many bits that nobody can guess."""
    chance = _chance.get()
    return secrets.randbits(number) if chance is None else chance(number)


def simulate(clock: Callable[[], datetime], chance: Callable[[int], int]) -> None:
    """Let tasks that are made from here on see another clock, and another source of chance."""
    _clock.set(clock)
    _chance.set(chance)
