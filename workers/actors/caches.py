"""Actors that drop answers which cannot be given any more."""

import dramatiq

from workers import caches
from workers.caches import CacheScope
from workers.resources import resources

_MINUTE_MS = 60_000


@dramatiq.actor(actor_name="cache.drop", queue_name="caches", time_limit=_MINUTE_MS)
async def drop_answers(namespace_id: str, scope: str, name: str = "") -> None:
    """Free the memory of a scope's answers; a lost message leaves them to their end."""
    await caches.drop_answers(resources().stores.answers, namespace_id, CacheScope(scope), name)
