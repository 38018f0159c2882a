"""Follows one task: its state, again after each change, until it has ended.

States, not differences: whatever is missed between two looks is in the next state. Redis only says
when to look, and a look every few seconds makes up for a lost call.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Final

from graphql_api.context import Context
from models.bus import Listener
from models.states import FINAL
from models.task import Task

_LOOK_SECONDS: Final = 5.0
_PACE_SECONDS: Final = 0.25


async def follow_task(context: Context, task_id: str) -> AsyncGenerator[Task, None]:
    """Yield a task as it changes; ends with its final state.

    Raises:
        NotFound: no such task here, or it was deleted with its batch.
        Unauthenticated: the key was revoked meanwhile.
    """
    bus, told = context.stores.bus, 0
    async with bus.listen(bus.events_channel(context.scope.namespace_id)) as listener:
        while True:
            context.forget()
            task = await context.scope.require(Task, task_id, path=("id",))
            if task.sequence != told:
                told = task.sequence
                yield task
            if task.status in FINAL:
                return
            await asyncio.sleep(_PACE_SECONDS)
            await _wait(listener, {task.id, task.batch_id})
            await context.revalidate_when_due()


async def _wait(listener: Listener, ids: set[str | None]) -> None:
    """Sleep until one of these is announced, or until it is time for a look anyway."""
    deadline = time.monotonic() + _LOOK_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        rung = await listener.wait(left)
        if not rung or rung & ids:
            return
