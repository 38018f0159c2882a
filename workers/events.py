"""Gives log entries their place in the namespace's log, which makes them public.

Whatever webhooks are to be told is written in the same transaction: the log is the outbox.
"""

import logging
from collections.abc import Callable

from pymongo.errors import PyMongoError

from models.database import Session
from models.event_log import open_log, place_entries, read_unplaced_namespaces
from models.events import Entry
from models.stores import Stores
from workers.deliveries import enqueue_deliveries

logger = logging.getLogger(__name__)


Wake = Callable[[str], None]  # a courier, for a webhook


async def publish_all(stores: Stores, wake: Wake) -> None:
    """Publish whatever waits in any namespace: what a lost ring left."""
    for namespace_id in await read_unplaced_namespaces():
        await publish_safely(stores, namespace_id, wake)


async def publish_safely(stores: Stores, namespace_id: str, wake: Wake) -> None:
    """Publish one namespace's entries; a failure is logged and the next sweep tries again."""
    try:
        await publish(stores, namespace_id, wake)
    except PyMongoError as error:
        logger.warning("Log of %s: %s: %s", namespace_id, type(error).__name__, error)
    except Exception:  # one odd entry must not end the sweep of all other namespaces
        logger.exception("Log of %s", namespace_id)


async def publish(stores: Stores, namespace_id: str, wake: Wake = lambda _: None) -> None:
    """Place every entry that waits, write deliveries for it, and wake who makes them."""

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
        await stores.bus.announce_placed(namespace_id, entries[-1].position)
        for webhook_id in webhook_ids:
            wake(webhook_id)
