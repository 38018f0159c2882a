"""Whose turn it is: which of the batches that wait is handed over first.

A batch is ordered by the moment at which it was queued, put earlier by ten minutes for each level
of its priority. All of them age alike, so this one moment, once stored, orders them for good: a
batch of the lowest priority is overtaken by none that is queued 200 minutes after it.
"""

from datetime import datetime, timedelta
from typing import Final

from pymongo.asynchronous.client_session import AsyncClientSession

from models.batch import Batch, change_batch
from models.events import Event, EventType
from models.scope import Scope
from models.states import HOLDABLE, BatchStatus

PRIORITY_SECONDS: Final = 600  # by which a level of priority outdoes having waited
LOWEST_PRIORITY: Final = -10
HIGHEST_PRIORITY: Final = 10


def turn_of(queued: datetime, priority: int) -> datetime:
    """Return the moment by which a batch is ordered among those that wait."""
    return queued - timedelta(seconds=priority * PRIORITY_SECONDS)


async def set_priority(session: AsyncClientSession, batch_id: str, priority: int) -> Event | None:
    """Give a live batch another priority; None when it has it already, or is not live."""
    row = await Batch.get_pymongo_collection().find_one(
        {"_id": batch_id, "status": {"$in": sorted(HOLDABLE)}}, session=session
    )
    if row is None or row.get("priority", 0) == priority:
        return None
    batch = Batch.model_validate(row)
    return await change_batch(
        session,
        {"_id": batch_id},
        {
            "$set": {
                "priority": priority,
                "turn_at": turn_of(batch.turn_at, priority - batch.priority),
            }
        },
        EventType.BATCH_PRIORITY_SET,
        {"priority": priority, "before": batch.priority},
    )


async def read_live(scope: Scope, *, limit: int) -> list[Batch]:
    """Return batches that are under way or wait to be taken: the former first, each by turn."""
    return await scope.find_sorted(
        Batch,
        {"status": {"$in": sorted(HOLDABLE)}},
        sort=[("status", 1), ("turn_at", 1), ("_id", 1)],
        limit=limit,
    )


async def read_positions(namespace_id: str) -> dict[str, int]:
    """Return the place, from 1, of each batch of a namespace that waits to be taken."""
    waiting = {"namespace_id": namespace_id, "status": str(BatchStatus.QUEUED), "hold": None}
    rows = Batch.get_pymongo_collection().find(
        waiting, {"_id": 1}, sort=[("turn_at", 1), ("_id", 1)]
    )
    return {row["_id"]: place for place, row in enumerate(await rows.to_list(), start=1)}
