"""What the actors of one process share: stores, the engine, and the tasks that sweep and listen.

Opened by a middleware on the event loop that async actors run on, since an async MongoDB client
belongs to one loop; opened again with backoff for as long as a store does not answer.
"""

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from dramatiq import Broker, Middleware, Worker
from dramatiq.asyncio import get_event_loop_thread

from engine.ray_runner import RayEngine
from models.ending import end_tasks, until_first_fails
from models.errors import StoreUnavailable, StrataError
from models.settings import Settings
from models.stores import Stores, open_stores
from workers.cache_drops import CacheDrops
from workers.couriers import Couriers
from workers.events import Readers
from workers.outbox import listen_to_log, sweep_outbox_forever
from workers.sweeps import listen, sweep_forever
from workers.tasks import run_tasks_forever

logger = logging.getLogger(__name__)
_REOPEN_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Resources:
    """Handles of this process."""

    stores: Stores
    engine: RayEngine
    couriers: Couriers


_open: Resources | None = None


def resources() -> Resources:
    """Return the open handles.

    Raises:
        StoreUnavailable: the process is still opening them; the sweep comes back to the batch.
    """
    if _open is None:
        raise StoreUnavailable("The worker has not reached its stores yet.")
    return _open


class OpenResources(Middleware):
    """Opens the resources before the first message and closes them after the last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._broker: Broker | None = None
        self._task: asyncio.Task[None] | None = None

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Start to open."""
        self._broker = broker
        _on_loop(self._start())

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Close what is open."""
        _on_loop(self._stop())

    async def _start(self) -> None:
        self._task = asyncio.create_task(self._stay_open(), name="resources")

    async def _stop(self) -> None:
        if self._task is not None:
            await end_tasks(self._task)

    async def _stay_open(self) -> None:
        global _open
        while True:
            try:
                async with open_stores(self._settings) as stores:
                    couriers = Couriers(stores)
                    drops = CacheDrops(self._broker)
                    readers = Readers(couriers.wake, drops.drop)
                    _open = Resources(stores, RayEngine(self._settings), couriers)
                    async with aclosing(couriers), aclosing(drops):
                        await until_first_fails(
                            asyncio.create_task(sweep_forever(stores, _open.engine)),
                            asyncio.create_task(listen(stores, _open.engine)),
                            asyncio.create_task(run_tasks_forever(stores)),
                            asyncio.create_task(listen_to_log(stores, readers)),
                            asyncio.create_task(sweep_outbox_forever(stores, couriers, readers)),
                        )
            except StrataError as error:
                logger.warning("Waiting for the stores: %s", error)
            except Exception:  # a worker that no longer sweeps would be dead without a sign
                logger.exception("The worker opens its stores again")
            finally:
                _open = None
            await asyncio.sleep(_REOPEN_SECONDS)


def _on_loop(work: Awaitable[None]) -> None:
    thread = get_event_loop_thread()
    assert thread is not None  # the AsyncIO middleware stands before this one
    thread.run_coroutine(work)
