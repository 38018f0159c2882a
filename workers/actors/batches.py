"""Actors that look at one batch."""

import dramatiq

from models.logs import bound
from workers import batches
from workers.resources import resources

_MINUTE_MS = 60_000


@dramatiq.actor(actor_name="batch.dispatch", queue_name="batches", time_limit=_MINUTE_MS)
async def dispatch_batch(batch_id: str) -> None:
    """Reconcile a batch now; a lost, doubled or late message changes nothing."""
    held = resources()
    with bound(batch_id=batch_id):
        await batches.reconcile(held.stores, held.engine, batch_id)
