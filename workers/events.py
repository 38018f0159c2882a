"""Gives log entries their place in the namespace's log, which makes them public.

Whatever webhooks are to be told is written in the same transaction: the log is the outbox. Caches
are told afterwards, and may miss it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from models.database import Session
from models.event_log import open_log, place_entries, read_unplaced_namespaces
from models.events import Entry, EventType
from models.failpoints import Failpoint, reach
from models.stores import Stores
from workers.deliveries import enqueue_deliveries

logger = logging.getLogger(__name__)


def _tell_nobody(*_: str) -> None:
    """Leave it to the next sweep."""


@dataclass(frozen=True)
class Readers:
    """Who hears of what was published, beside those who listen on the bus."""

    wake: Callable[[str], None] = _tell_nobody  # a courier, for a webhook
    drop: Callable[[str, str], None] = _tell_nobody  # a namespace's answers about a collection


async def publish_all(stores: Stores, readers: Readers) -> None:
    """Publish whatever waits in any namespace: what a lost ring left."""
    for namespace_id in await read_unplaced_namespaces():
        await publish_safely(stores, namespace_id, readers)


async def publish_safely(stores: Stores, namespace_id: str, readers: Readers) -> None:
    """Publish one namespace's entries; a failure is logged and the next sweep tries again."""
    try:
        await publish(stores, namespace_id, readers)
    except PyMongoError as error:
        logger.warning("Log of %s: %s: %s", namespace_id, type(error).__name__, error)
    except Exception:  # one odd entry must not end the sweep of all other namespaces
        logger.exception("Log of %s", namespace_id)


async def publish(stores: Stores, namespace_id: str, readers: Readers | None = None) -> None:
    """Place every entry that waits, write deliveries for it, and tell its readers."""
    told = readers or Readers()

    async def work(session: Session) -> tuple[list[Entry], set[str]]:
        entries = await place_entries(session, namespace_id)
        if not entries:
            return [], set()
        return entries, await enqueue_deliveries(session, namespace_id, entries)

    await open_log(namespace_id)
    while True:
        entries, webhook_ids = await stores.database.transaction(work)
        if not entries:
            return
        await reach(Failpoint.LOG_PLACED)
        await stores.bus.announce_placed(namespace_id, entries[-1].position)
        for webhook_id in webhook_ids:
            told.wake(webhook_id)
        for collection_id in _written(entries):
            told.drop(namespace_id, collection_id)


def _written(entries: list[Entry]) -> set[str]:
    """Return the collections whose documents are others now."""
    return {entry.subject[1] for entry in entries if entry.type == EventType.DOCUMENTS_WRITTEN}
