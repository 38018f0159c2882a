"""What happened to a batch: an append-only log, numbered from 1 per batch without holes.

The number is taken from the batch in the transaction that makes the change, so commit order is
sequence order. Redis only says "look again"; see `models.bus`.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final

from pydantic import Field
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from models.ids import new_id
from models.states import BatchStatus
from models.stored import Namespaced, now


class EventType(StrEnum):
    """Past tense: what happened."""

    BATCH_CREATED = "batch.created"
    OBJECTS_ADDED = "batch.objects_added"
    BATCH_QUEUED = "batch.queued"
    BATCH_PROCESSING = "batch.processing"
    BATCH_HANDED_OVER = "batch.handed_over"  # a lease ran out; the next epoch goes on
    BATCH_CANCELING = "batch.canceling"
    BATCH_CANCELED = "batch.canceled"
    BATCH_COMPLETED = "batch.completed"
    BATCH_COMPLETED_WITH_ERRORS = "batch.completed_with_errors"
    BATCH_FAILED = "batch.failed"
    BLOCK_DONE = "block.done"
    BLOCK_RETRIED = "block.retried"
    BLOCK_FAILED = "block.failed"


STATUS_EVENTS: Final[Mapping[BatchStatus, EventType]] = {
    BatchStatus.DRAFT: EventType.BATCH_CREATED,
    BatchStatus.QUEUED: EventType.BATCH_QUEUED,
    BatchStatus.PROCESSING: EventType.BATCH_PROCESSING,
    BatchStatus.CANCELING: EventType.BATCH_CANCELING,
    BatchStatus.CANCELED: EventType.BATCH_CANCELED,
    BatchStatus.COMPLETED: EventType.BATCH_COMPLETED,
    BatchStatus.COMPLETED_WITH_ERRORS: EventType.BATCH_COMPLETED_WITH_ERRORS,
    BatchStatus.FAILED: EventType.BATCH_FAILED,
}
PROGRESS: Final = frozenset({EventType.BLOCK_DONE, EventType.OBJECTS_ADDED})  # may be coalesced


class Event(Namespaced):
    """One change of one batch, with the counts right after it."""

    batch_id: str
    sequence: int
    type: EventType
    status: BatchStatus
    counts: dict[str, int] = {}
    blocks_total: int = 0
    blocks_open: int = 0
    data: dict[str, Any] = {}
    at: datetime = Field(default_factory=now)

    class Settings:
        """Where it is stored and how it is found."""

        name = "events"
        indexes: ClassVar = [
            IndexModel([("batch_id", 1), ("sequence", 1)], unique=True, name="sequence"),
            IndexModel([("namespace_id", 1), ("at", 1)], name="namespace"),
        ]


async def append_event(
    session: AsyncClientSession,
    batch: Mapping[str, Any],
    kind: EventType,
    data: Mapping[str, Any] | None = None,
) -> Event:
    """Write the event that takes the batch's present sequence number."""
    event = Event(
        id=new_id("evt"),
        namespace_id=batch["namespace_id"],
        batch_id=batch["_id"],
        sequence=batch["sequence"],
        type=kind,
        status=batch["status"],
        counts=batch["counts"],
        blocks_total=batch["blocks_total"],
        blocks_open=batch["blocks_open"],
        data=dict(data or {}),
    )
    await Event.get_pymongo_collection().insert_one(event.to_mongo(), session=session)
    return event


async def read_events(batch_id: str, *, after: int, limit: int) -> list[Event]:
    """Return up to `limit` events past a sequence number, in order."""
    cursor = Event.get_pymongo_collection().find(
        {"batch_id": batch_id, "sequence": {"$gt": after}},
        sort=[("sequence", ASCENDING)],
        limit=limit,
    )
    return [Event.model_validate(row) async for row in cursor]


async def read_transitions(batch_id: str) -> list[Event]:
    """Return the events at which the batch changed its status, in order."""
    kinds = [str(kind) for kind in STATUS_EVENTS.values()]
    cursor = Event.get_pymongo_collection().find(
        {"batch_id": batch_id, "type": {"$in": kinds}}, sort=[("sequence", ASCENDING)]
    )
    return [Event.model_validate(row) async for row in cursor]
