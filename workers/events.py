"""Gives log entries their place in the namespace's log, which makes them public."""

import logging

from pymongo.errors import PyMongoError

from models.event_log import open_log, place_entries, read_unplaced_namespaces
from models.stores import Stores

logger = logging.getLogger(__name__)


async def publish_all(stores: Stores) -> None:
    """Publish whatever waits in any namespace: what a lost ring left."""
    for namespace_id in await read_unplaced_namespaces():
        await publish_safely(stores, namespace_id)


async def publish_safely(stores: Stores, namespace_id: str) -> None:
    """Publish one namespace's entries; a failure is logged and the next sweep tries again."""
    try:
        await publish(stores, namespace_id)
    except PyMongoError as error:
        logger.warning("Log of %s: %s: %s", namespace_id, type(error).__name__, error)
    except Exception:  # one odd entry must not end the sweep of all other namespaces
        logger.exception("Log of %s", namespace_id)


async def publish(stores: Stores, namespace_id: str) -> int:
    """Place every entry that waits; return how many there were."""
    await open_log(namespace_id)
    placed = 0
    while entries := await stores.database.transaction(
        lambda session: place_entries(session, namespace_id)
    ):
        placed += len(entries)
        await stores.bus.announce_placed(namespace_id, entries[-1].position)
    return placed
