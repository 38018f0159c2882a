"""Frames as the bytes of their results, made once for all who see the same in them.

Subscribers with equal document, variables and rights are a cohort. A source event that is shared
between subscribers carries a `Renderings`; the first of a cohort executes it, the others send the
same bytes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable

Render = Callable[[], bytes | Awaitable[bytes]]


class Renderings:
    """What one source event looks like to each cohort."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: dict[Hashable, bytes | asyncio.Task[bytes]] = {}

    async def get(self, cohort: Hashable, render: Render) -> bytes:
        """Return the cohort's bytes; who comes first has them made."""
        found = self._made.get(cohort)
        if found is None:
            made = render()
            found = made if isinstance(made, bytes) else asyncio.ensure_future(_run(made))
            self._made[cohort] = found
        if isinstance(found, bytes):
            return found
        if found.done():
            return found.result()
        # Shielded: the first subscriber may leave while the others wait.
        return await asyncio.shield(found)


async def _run(made: Awaitable[bytes]) -> bytes:
    return await made
