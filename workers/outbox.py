"""Keeps the log moving: places what was written, and delivers what webhooks are to be told.

Rung by every writer of the log; the sweep makes up for lost rings and comes back to deliveries that
wait for their time.
"""

import asyncio
import logging

from pymongo.errors import PyMongoError

from models import metrics
from models.stores import Stores
from workers.couriers import Couriers
from workers.events import Readers, publish_all, publish_safely

logger = logging.getLogger(__name__)


async def sweep_outbox_forever(stores: Stores, couriers: Couriers, readers: Readers) -> None:
    """Sweep at the configured interval until canceled."""
    while True:
        with metrics.SWEEP_SECONDS.labels("outbox").time():
            await sweep_outbox(stores, couriers, readers)
        metrics.SWEEPS.labels("outbox").inc()
        await asyncio.sleep(stores.settings.worker.sweep_seconds)


async def sweep_outbox(stores: Stores, couriers: Couriers, readers: Readers) -> None:
    """Publish what waits in any namespace, and wake the couriers of what is due."""
    try:
        await publish_all(stores, readers)
        await couriers.sweep()
    except PyMongoError as error:
        logger.warning("Outbox: MongoDB failed: %s", type(error).__name__)


async def listen_to_log(stores: Stores, readers: Readers) -> None:
    """Publish entries of the log as their writers ring."""
    async with stores.bus.listen(stores.bus.log_channel) as listener:
        while True:
            for namespace_id in await listener.wait(stores.settings.worker.sweep_seconds):
                await publish_safely(stores, namespace_id, readers)
