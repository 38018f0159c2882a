"""Sends what caches should drop to their actor, a collection once however often it is written.

Beside the loop, since the queue's client blocks; a send that fails loses nothing but memory, which
comes back when the answers end.
"""

import asyncio
import logging
from typing import Final

from dramatiq import Broker
from dramatiq.errors import DramatiqError
from redis.exceptions import RedisError

from models.ending import end_tasks
from workers.caches import CacheScope

logger = logging.getLogger(__name__)
_ACTOR: Final = "cache.drop"
_PAUSE_SECONDS: Final = 0.5  # while a batch commits, its collections are dropped twice a second


class CacheDrops:
    """What one worker still has to send."""

    def __init__(self, broker: Broker | None) -> None:
        self._broker = broker
        self._waiting: set[tuple[str, str]] = set()
        self._sending: asyncio.Task[None] | None = None

    def drop(self, namespace_id: str, collection_id: str) -> None:
        """Have the answers about a collection dropped soon."""
        self._waiting.add((namespace_id, collection_id))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all(), name="cache-drops")

    async def aclose(self) -> None:
        """Send nothing more."""
        if self._sending is not None:
            await end_tasks(self._sending)

    async def _send_all(self) -> None:
        while self._waiting:
            chosen, self._waiting = self._waiting, set()
            await asyncio.to_thread(self._send, sorted(chosen))
            await asyncio.sleep(_PAUSE_SECONDS)

    def _send(self, chosen: list[tuple[str, str]]) -> None:
        if self._broker is None:
            return
        actor = self._broker.get_actor(_ACTOR)  # by name: the actors need what opens us
        try:
            for namespace_id, collection_id in chosen:
                actor.send(namespace_id, CacheScope.COLLECTION.value, collection_id)
        except (DramatiqError, RedisError, OSError) as error:
            logger.warning("Answers are dropped late (%s)", type(error).__name__)
