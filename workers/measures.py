"""Measures the state for those who watch it: how much waits, and how long the oldest has waited.

Only what an index answers, and only every few seconds, in workers whose metrics anybody reads.
"""

import asyncio
import time
from typing import Final

from redis.exceptions import RedisError

from models import metrics
from models.batch import measure_live_batches
from models.delivery import measure_pending
from models.event_log import count_unplaced
from models.states import LIVE
from models.stored import now
from models.stores import Stores

_SECONDS: Final = 10.0
_QUEUES: Final = ("batches", "webhooks", "caches")


class Measures:
    """When this process measured last."""

    def __init__(self) -> None:
        self._due = float("-inf")

    async def measure(self, stores: Stores) -> None:
        """Measure, if it is time to and somebody looks."""
        if stores.settings.monitor.worker_port is None or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _SECONDS
        await measure(stores)


async def measure(stores: Stores) -> None:
    """Set every gauge of the state."""
    live = await measure_live_batches()
    for status in sorted(LIVE):
        metrics.BATCHES.labels(status).set(live.batches.get(status, 0))
    metrics.BLOCKS_OPEN.set(live.blocks_open)
    metrics.OLDEST_BATCH.set(live.oldest_seconds(now()))
    pending, oldest = await measure_pending()
    metrics.PENDING.set(pending)
    metrics.OLDEST_PENDING.set(0 if oldest is None else max(0.0, (now() - oldest).total_seconds()))
    metrics.UNPLACED.set(await count_unplaced())
    await _measure_queues(stores)
    metrics.MEASURED_AT.set(time.time())


async def _measure_queues(stores: Stores) -> None:
    prefix = stores.settings.redis.prefix
    try:
        async with asyncio.timeout(1):
            for queue in _QUEUES:
                waiting = await stores.bus.redis.llen(f"{prefix}:dramatiq:{queue}")
                metrics.QUEUE.labels(queue).set(waiting)
    except (RedisError, OSError):
        return  # what was measured last stays; its time says how old it is
