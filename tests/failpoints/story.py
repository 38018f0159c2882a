"""What a story is: something that is told, what comes before it, and where it may end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from models.failpoints import Failpoint
from tests.failpoints.life import Life
from tests.failpoints.scene import Scene

Tell = Callable[[Life, Scene], Awaitable[None]]


async def nothing(life: Life, scene: Scene) -> None:
    """Nothing has to come before."""


@dataclass(frozen=True)
class Story:
    """A story, what comes before it without any crash, and where it may end."""

    name: str
    tell: Tell
    firsts: tuple[Failpoint, ...]
    seconds: tuple[Failpoint, ...] = ()  # of a pair, beside the firsts
    before: Tell = nothing

    @property
    def pairs(self) -> list[tuple[Failpoint, Failpoint]]:
        """Every two places where one process may end, and then the next."""
        seconds = dict.fromkeys([*self.firsts, *self.seconds])
        return [(first, second) for first in self.firsts for second in seconds]
