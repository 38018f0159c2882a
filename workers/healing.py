"""Looks into batches that nothing has happened to for long, and mends what keeps them from ending.

Leases, doorbells and the sweep see to everything that dies; this is for what should never be: a
counter that drifted, a wake-up that never came, a lease that was taken by a clock that jumped.
"""

import logging
from functools import partial
from typing import Final

from pymongo.errors import PyMongoError

from models import metrics
from models.errors import StrataError
from models.healing import Healed, mend_batch, take_quiet_batch
from models.logs import bound
from models.stores import Stores
from workers.transitions import announce_status

logger = logging.getLogger(__name__)
_AT_ONCE: Final = 100  # batches in one sweep
_FAR: Final = 10  # lengths of a lease: a lease that ends later was taken by another clock
_PATIENCE: Final = 5  # silences, before a batch is taken from a conductor that claims nothing


async def heal_quiet_batches(stores: Stores) -> int:
    """Look into some quiet batches; return how many were mended."""
    healed = 0
    for _ in range(_AT_ONCE):
        batch_id = await take_quiet_batch(quiet_seconds=stores.settings.worker.stuck_seconds)
        if batch_id is None:
            break
        healed += await _heal_safely(stores, batch_id)
    return healed


async def _heal_safely(stores: Stores, batch_id: str) -> bool:
    """Mend a batch; one that cannot be read must not end the look at the others."""
    with bound(batch_id=batch_id):
        try:
            return await heal_batch(stores, batch_id)
        except (StrataError, PyMongoError) as error:
            logger.warning("Batch %s: %s: %s", batch_id, type(error).__name__, error)
        except Exception:
            logger.exception("Batch %s", batch_id)
    return False


async def heal_batch(stores: Stores, batch_id: str) -> bool:
    """Mend a live batch from its blocks, and say so in its log; False when nothing was wrong."""
    settings = stores.settings
    lease = max(settings.engine.lease_seconds, settings.worker.lease_seconds)
    mend = partial(
        mend_batch,
        batch_id=batch_id,
        far_seconds=_FAR * lease,
        unclaimed_seconds=_PATIENCE * settings.worker.stuck_seconds,
    )
    healed: Healed | None = await stores.database.transaction(mend)
    if healed is None:
        return False
    found = ", ".join(f"{damage} {number}" for damage, number in healed.found.items())
    logger.warning("Batch %s was mended: %s", batch_id, found)
    for damage in healed.found:
        metrics.HEALED.labels(str(damage)).inc()
    await announce_status(stores, healed.event)
    await stores.bus.ring_workers(batch_id)
    return True
