"""What happened: one append-only log, written in the transaction that makes the change.

Events of a batch are numbered from 1 per batch without holes; the number is taken from the batch in
that transaction, so commit order is sequence order. Whatever happens to anything else is a notice.
Both get their place in the namespace's whole log afterwards; see `models.event_log`. Redis only
says "look again"; see `models.bus`.
"""

from collections.abc import Mapping, Sequence
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
    BATCH_HEALED = "batch.healed"  # it contradicted its blocks, and was put right
    BATCH_PAUSED = "batch.paused"
    BATCH_RESUMED = "batch.resumed"
    BATCH_PRIORITY_SET = "batch.priority_set"
    BATCH_STOPPING = "batch.stopping"  # it is canceled once what is in work has ended
    BATCH_CANCELING = "batch.canceling"
    BATCH_CANCELED = "batch.canceled"
    BATCH_COMPLETED = "batch.completed"
    BATCH_COMPLETED_WITH_ERRORS = "batch.completed_with_errors"
    BATCH_FAILED = "batch.failed"
    BLOCK_DONE = "block.done"
    BLOCK_RETRIED = "block.retried"
    BLOCK_FAILED = "block.failed"
    TIER_COMPLETED = "tier.completed"  # every block of it has ended
    # Not of a batch's own log: notices.
    BATCH_DELETED = "batch.deleted"
    DOCUMENTS_WRITTEN = "collection.documents.written"
    SCHEMA_CHANGED = "collection.schema_changed"
    OBJECT_CREATED = "object.created"  # one notice for the objects of a call
    OBJECT_UPDATED = "object.updated"
    OBJECT_DELETED = "object.deleted"
    ENDPOINT_DISABLED = "endpoint.disabled"


class SubjectType(StrEnum):
    """What something happened to."""

    BATCH = "BATCH"
    BUCKET = "BUCKET"
    COLLECTION = "COLLECTION"
    WEBHOOK = "WEBHOOK"


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


class _Logged(Namespaced):
    """What every entry of the log has."""

    type: EventType
    data: dict[str, Any] = {}
    bucket_id: str | None = None  # of its subject: what webhooks filter by
    collection_ids: list[str] = []
    at: datetime = Field(default_factory=now)
    trace: str | None = None  # of the submit that it goes back to
    position: int = 0  # in the namespace's log, from 1; 0 until it has its place


class Event(_Logged):
    """One change of one batch, with the counts right after it."""

    batch_id: str
    sequence: int
    status: BatchStatus
    counts: dict[str, int] = {}
    blocks_total: int = 0
    blocks_open: int = 0

    class Settings:
        """Where it is stored and how it is found."""

        name = "events"
        indexes: ClassVar = [
            IndexModel(
                [("batch_id", 1), ("sequence", 1)],
                unique=True,
                name="sequence",
                partialFilterExpression={"batch_id": {"$exists": True}},
            ),
            IndexModel([("namespace_id", 1), ("at", 1)], name="namespace"),
            IndexModel(
                [("namespace_id", 1), ("position", 1)],
                unique=True,
                name="position",
                partialFilterExpression={"position": {"$gt": 0}},
            ),
            IndexModel(
                [("position", 1), ("namespace_id", 1), ("_id", 1)],
                name="unplaced",
                partialFilterExpression={"position": 0},
            ),
            IndexModel(
                [("namespace_id", 1), ("type", 1), ("at", 1)],
                name="deleted_batches",
                partialFilterExpression={"type": str(EventType.BATCH_DELETED)},
            ),
        ]

    @property
    def subject(self) -> tuple[SubjectType, str]:
        """What it happened to."""
        return SubjectType.BATCH, self.batch_id


class Notice(_Logged):
    """One change of something that has no log of its own."""

    subject_type: SubjectType
    subject_id: str

    class Settings:
        """The same log; `Event` builds its indexes."""

        name = "events"

    @property
    def subject(self) -> tuple[SubjectType, str]:
        """What it happened to."""
        return self.subject_type, self.subject_id


Entry = Event | Notice


def parse_entry(row: Mapping[str, Any]) -> Entry:
    """Return an entry of the log as what it is."""
    entry: Entry = (Event if "batch_id" in row else Notice).model_validate(row)
    return entry


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
        trace=batch.get("trace"),
        bucket_id=batch["bucket_id"],
        collection_ids=[one for tier in batch["tiers"] for one in tier["collection_ids"]],
    )
    await Event.get_pymongo_collection().insert_one(event.to_mongo(), session=session)
    return event


async def append_notice(
    session: AsyncClientSession,
    namespace_id: str,
    kind: EventType,
    subject: tuple[SubjectType, str],
    *,
    data: Mapping[str, Any],
    bucket_id: str | None = None,
    collection_ids: Sequence[str] = (),
    trace: str | None = None,
) -> Notice:
    """Write what happened to something other than a batch; then `Bus.announce_log`."""
    notice = Notice(
        id=new_id("evt"),
        namespace_id=namespace_id,
        type=kind,
        subject_type=subject[0],
        subject_id=subject[1],
        data=dict(data),
        bucket_id=bucket_id,
        collection_ids=list(collection_ids),
        trace=trace,
    )
    await Notice.get_pymongo_collection().insert_one(notice.to_mongo(), session=session)
    return notice


async def read_events(batch_id: str, *, after: int, limit: int) -> list[Event]:
    """Return up to `limit` events past a sequence number, in order."""
    cursor = Event.get_pymongo_collection().find(
        {"batch_id": batch_id, "sequence": {"$gt": after}},
        sort=[("sequence", ASCENDING)],
        limit=limit,
    )
    return [Event.model_validate(row) async for row in cursor]


async def read_deleted_batches(namespace_id: str, since: datetime) -> list[str]:
    """Return the ids of a namespace's batches that were deleted at a moment or after it."""
    cursor = Notice.get_pymongo_collection().find(
        deletions(namespace_id, since), {"subject_id": 1}, sort=[("at", ASCENDING)]
    )
    return [row["subject_id"] async for row in cursor]


def deletions(namespace_id: str, since: datetime) -> dict[str, Any]:
    """Return the filter of a namespace's deletions of batches; an index is for it alone."""
    return {
        "namespace_id": namespace_id,
        "type": str(EventType.BATCH_DELETED),
        "at": {"$gte": since},
    }


async def read_transitions(batch_id: str) -> list[Event]:
    """Return the events at which the batch changed its status, in order."""
    return (await read_transitions_of([batch_id]))[batch_id]


async def read_transitions_of(batch_ids: Sequence[str]) -> dict[str, list[Event]]:
    """Return the same for many batches, by one call."""
    kinds = [str(kind) for kind in STATUS_EVENTS.values()]
    cursor = Event.get_pymongo_collection().find(
        {"batch_id": {"$in": list(batch_ids)}, "type": {"$in": kinds}},
        sort=[("batch_id", ASCENDING), ("sequence", ASCENDING)],
    )
    found: dict[str, list[Event]] = {batch_id: [] for batch_id in batch_ids}
    async for row in cursor:
        found[row["batch_id"]].append(Event.model_validate(row))
    return found
