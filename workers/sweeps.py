"""Looks for what got lost: all due batches every few seconds, those rung for at once.

Has no leader: several sweeps at a time are harmless, since each step is a compare-and-set. Alone,
with every message lost, the sweep finishes any batch.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from pymongo.errors import PyMongoError

from models import metrics
from models.batch import read_due_batches
from models.errors import StrataError
from models.logs import bound
from models.stores import Stores
from workers.analytics import roll_up_all
from workers.batches import Engine, reconcile
from workers.healing import heal_quiet_batches
from workers.measures import Measures
from workers.orphans import collect_orphans
from workers.retention import trim_logs
from workers.schedules import tend_schedules
from workers.uploads import sweep_uploads

logger = logging.getLogger(__name__)
_BATCHES: Final = 1000
# After the batches, in this order.
_TENDED: Final = (
    heal_quiet_batches,
    sweep_uploads,
    tend_schedules,
    roll_up_all,
    trim_logs,
    collect_orphans,
)


async def sweep_forever(stores: Stores, engine: Engine) -> None:
    """Sweep at the configured interval until canceled."""
    measures = Measures()
    while True:
        with metrics.SWEEP_SECONDS.labels("batches").time():
            await sweep(stores, engine, measures)
        metrics.SWEEPS.labels("batches").inc()
        await asyncio.sleep(stores.settings.worker.sweep_seconds)


async def sweep(stores: Stores, engine: Engine, measures: Measures | None = None) -> None:
    """Look at every batch that somebody should look at."""
    try:
        waiting = stores.settings.quotas.processing_batches
        due = await read_due_batches(limit=_BATCHES, waiting=waiting)
    except PyMongoError as error:
        logger.warning("Sweep: MongoDB failed: %s", type(error).__name__)
        return
    for batch_id in due:
        await look(stores, engine, batch_id)
    tended: list[Callable[[Stores], Awaitable[object]]] = [*_TENDED]
    if measures is not None:
        tended.append(measures.measure)
    for tend in tended:
        try:
            await tend(stores)
        except (PyMongoError, StrataError) as error:
            logger.warning("Sweep: %s waits: %s", tend.__name__, type(error).__name__)


async def listen(stores: Stores, engine: Engine) -> None:
    """Look at batches as the engine rings for them."""
    async with stores.bus.listen(stores.bus.work_channel) as listener:
        while True:
            for batch_id in await listener.wait(stores.settings.worker.sweep_seconds):
                await look(stores, engine, batch_id)


async def look(stores: Stores, engine: Engine, batch_id: str) -> None:
    """Reconcile one batch; a failure is logged and the next sweep tries again.

    Whatever it is: one odd batch must not end the sweep of all the others.
    """
    with bound(batch_id=batch_id):
        try:
            await reconcile(stores, engine, batch_id)
        except (StrataError, PyMongoError) as error:
            logger.warning("Batch %s: %s: %s", batch_id, type(error).__name__, error)
        except Exception:
            logger.exception("Batch %s", batch_id)
