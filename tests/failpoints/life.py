"""A process that ends where it is told to, and the time that passes until another takes over.

It stands still rather than raises: a process that is killed runs no `finally` either. Whatever else
it was doing stands still at the next place that it passes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from contextvars import copy_context
from typing import Any, Final

from engine.inline_pool import InlinePools
from models.batch import Batch
from models.block import Block
from models.delivery import Delivery
from models.ending import end_tasks
from models.failpoints import Failpoint, watch_failpoints
from models.idempotency import IdempotentRequest
from models.schedule import ScheduleRun
from models.stored import LONG_AGO
from models.stores import Stores
from models.task import Task, read_due_tasks
from models.webhook import Webhook
from tests.workers.jobs import inline_engine
from workers.couriers import Couriers
from workers.events import Readers
from workers.outbox import sweep_outbox
from workers.sweeps import sweep
from workers.tasks import run_task

_LONGEST_SECONDS: Final = 30
_REST_SECONDS: Final = 0.02  # until what was begun beside a death stands still as well
_LEASED: Final[tuple[type[Any], ...]] = (
    Batch, Block, Task, Webhook, IdempotentRequest, ScheduleRun,
)  # fmt: skip


class Life:
    """One process: a client's request, a worker and the engine, up to its end."""

    def __init__(self, stores: Stores, dies_at: Failpoint | None = None) -> None:
        self.stores = stores
        self._dies_at = dies_at
        self._died = asyncio.Event()
        self._buried = False
        self._doing: asyncio.Task[None] | None = None

    @property
    def died(self) -> bool:
        """Whether it came to where it was to end."""
        return self._died.is_set()

    async def do(self, story: Callable[["Life"], Awaitable[None]]) -> None:
        """Do a whole story, or as much of it as there is life; raises what the story raises."""
        context = copy_context()
        context.run(watch_failpoints, self._pass)

        async def tell() -> None:
            await story(self)

        self._doing = asyncio.create_task(tell(), context=context)
        dying = asyncio.create_task(self._died.wait())
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                await asyncio.wait({self._doing, dying}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_tasks(dying)
        if self.died:
            await asyncio.sleep(_REST_SECONDS)
        else:
            await self._doing

    async def _pass(self, point: Failpoint) -> None:
        if point is self._dies_at:
            self._died.set()
        await self._stand_still()

    async def _stand_still(self) -> None:
        """Do nothing any more, when this process has died."""
        if self._buried:
            raise asyncio.CancelledError
        if self.died:
            await asyncio.get_running_loop().create_future()

    async def work_until(self, done: Callable[[], Awaitable[bool]]) -> None:
        """Be a worker with its engine; no message is ever rung, so the sweeps do it all."""
        async with (
            inline_engine(self.stores, InlinePools(self.stores.settings.cache)) as engine,
            aclosing(Couriers(self.stores)) as couriers,
        ):
            while not await done():
                await self._stand_still()
                await sweep(self.stores, engine)
                await self._stand_still()
                for task_id in await read_due_tasks(limit=10):
                    await run_task(self.stores, task_id)
                await self._stand_still()
                await sweep_outbox(self.stores, couriers, Readers(couriers.wake))
                await couriers.idle()
                await asyncio.sleep(0.005)

    async def bury(self) -> None:
        """End what stands still; nothing that it does on its way out passes a place any more."""
        self._buried = True
        if self._doing is not None:
            await end_tasks(self._doing)


async def let_leases_run_out() -> None:
    """Let the time pass that others have to wait for a process that is gone."""
    for model in _LEASED:
        await model.get_pymongo_collection().update_many({}, {"$set": {"lease_until": LONG_AGO}})
    await Block.get_pymongo_collection().update_many({}, {"$set": {"not_before": LONG_AGO}})
    await Delivery.get_pymongo_collection().update_many(
        {"status": "PENDING"}, {"$set": {"not_before": LONG_AGO}}
    )
