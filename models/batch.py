"""Batch: chosen objects, submitted together and followed to an end; and its atomic moves.

Every move is one update whose filter comes from the state table, in one transaction with its event.
A move returns the event when *we* made it, None when the batch was elsewhere: the loser of a race
stops.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field
from pymongo import IndexModel, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from models.events import STATUS_EVENTS, Event, EventType, append_event
from models.states import ENDING, LIVE, BatchStatus, Hold, origins
from models.stored import LONG_AGO, Namespaced, now, server_time_in

OVERDUE: Final[Mapping[str, Any]] = {  # the filter of those whose deadline has passed
    "deadline_at": {"$ne": None},
    "$expr": {"$lt": ["$deadline_at", "$$NOW"]},
}
NAMESPACE_LIMIT: Final = "NAMESPACE_LIMIT"  # a reason to wait


class Counts(BaseModel):
    """Rows and documents; at the end rows_in is the sum of the five row outcomes."""

    objects: int = 0
    rows_in: int = 0
    rows_filtered: int = 0
    rows_missing_input: int = 0
    rows_failed: int = 0
    rows_skipped: int = 0
    rows_succeeded: int = 0
    rows_reused: int = 0  # those of them that were not computed again
    documents_written: int = 0

    @property
    def rows_settled(self) -> int:
        """Rows whose outcome is known."""
        return (
            self.rows_filtered + self.rows_missing_input + self.rows_failed
            + self.rows_skipped + self.rows_succeeded
        )  # fmt: skip

    @property
    def rows_tried(self) -> int:
        """Rows that an extractor has seen, or would have but for a failure."""
        return self.rows_failed + self.rows_skipped + self.rows_succeeded

    @property
    def mostly_failed(self) -> bool:
        """Whether more than half of the rows that were tried failed."""
        return 2 * self.rows_failed > self.rows_tried


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Reason(_Part):
    """Why a batch waits where it is."""

    code: str
    message: str
    since: datetime = Field(default_factory=now)


class Tier(_Part):
    """The collections that may run side by side."""

    number: int
    collection_ids: list[str]


class ArtifactInfo(_Part):
    """One Parquet file of the manifest."""

    extractor: str
    key: str
    rows: int
    bytes: int
    sha256: str


class Funnel(_Part):
    """What became of the objects that a collection of the first tier was offered."""

    rows_in: int = 0
    rows_filtered: int = 0
    rows_missing_input: int = 0


class Batch(Namespaced):
    """One submission."""

    bucket_id: str
    name: str = ""
    metadata: dict[str, Any] = {}
    status: BatchStatus = BatchStatus.DRAFT
    sequence: int = 0
    reason: Reason | None = None
    hold: Hold | None = None  # its open blocks carry `held` then; see `models.holding`
    error_message: str | None = None
    counts: Counts = Counts()
    priority: int = 0  # -10 to 10
    turn_at: datetime = LONG_AGO  # its place among those that wait; see `models.turns`
    deadline_seconds: float | None = None  # from when it is queued
    deadline_at: datetime | None = None
    members_revision: int = 0
    submission: str | None = None  # whose blocks count; each submit attempt has its own
    include_processing_history: bool = False
    reuse: bool = True  # what the same inputs yielded before
    around: str | None = None  # runs this collection, what it reads and what reads it; else all
    tiers: list[Tier] = []
    artifacts: list[ArtifactInfo] = []
    funnels: dict[str, Funnel] = {}
    task_id: str | None = None
    blocks_total: int = 0
    blocks_open: int = 0
    retries: int = 0  # how often it was reopened after it had ended
    completed_tiers: list[int] = []  # whose every block has ended
    epoch: int = 0
    lease_until: datetime = LONG_AGO
    updated_at: datetime = Field(default_factory=now)
    looked_into_at: datetime | None = None  # when it was quiet, for damage
    trace: str | None = None  # the traceparent of its submit, if that was traced
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    tidied: bool = False  # since then, of what its attempts left on S3

    class Settings:
        """Where it is stored and how it is found."""

        name = "batches"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("_id", -1)], name="namespace"),
            IndexModel([("namespace_id", 1), ("status", 1), ("_id", -1)], name="namespace_status"),
            IndexModel([("namespace_id", 1), ("status", 1), ("turn_at", 1)], name="turn"),
            IndexModel([("namespace_id", 1), ("updated_at", 1)], name="changed"),
            IndexModel([("namespace_id", 1), ("bucket_id", 1), ("_id", -1)], name="bucket"),
            IndexModel([("status", 1), ("lease_until", 1)], name="due"),
            IndexModel([("tidied", 1), ("finished_at", 1)], name="untidy"),
        ]


async def create_batch(session: AsyncClientSession, batch: Batch) -> Event:
    """Insert a draft and its first event."""
    batch.sequence = 1
    row = batch.to_mongo()
    await Batch.get_pymongo_collection().insert_one(row, session=session)
    return await append_event(session, row, EventType.BATCH_CREATED)


async def advance_batch(
    session: AsyncClientSession,
    batch_id: str,
    to: BatchStatus,
    *,
    match: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> Event | None:
    """Move a batch to `to`, if the state table allows it from where it is."""
    released = {"hold": None} if to in ENDING else {}
    return await change_batch(
        session,
        {"_id": batch_id, "status": {"$in": origins(to)}, **(match or {})},
        {"$set": {"status": str(to), **released, **(values or {})}},
        STATUS_EVENTS[to],
        data,
    )


async def change_batch(
    session: AsyncClientSession,
    match: Mapping[str, Any],
    change: Mapping[str, Mapping[str, Any]],
    kind: EventType,
    data: Mapping[str, Any] | None = None,
) -> Event | None:
    """Apply one update and its event; None when nothing matched."""
    update = {
        **change,
        "$set": {"updated_at": now(), **change.get("$set", {})},
        "$inc": {"sequence": 1, **change.get("$inc", {})},
    }
    row = await Batch.get_pymongo_collection().find_one_and_update(
        match, update, return_document=ReturnDocument.AFTER, session=session
    )
    return None if row is None else await append_event(session, row, kind, data)


async def complete_tier(session: AsyncClientSession, batch_id: str, tier: int) -> Event | None:
    """Write down that every block of a tier has ended; None when that is known already."""
    return await change_batch(
        session,
        {"_id": batch_id, "completed_tiers": {"$ne": tier}},
        {"$push": {"completed_tiers": tier}},
        EventType.TIER_COMPLETED,
        {"tier": tier},
    )


async def claim_batch(
    session: AsyncClientSession, batch_id: str, *, lease_seconds: float
) -> tuple[Batch, Event] | None:
    """Take the right to hand a batch to the engine, under the next epoch, by the server's clock.

    Succeeds for a QUEUED batch, which becomes PROCESSING, and for a PROCESSING one whose lease ran
    out; never for one on hold.
    """
    batches = Batch.get_pymongo_collection()
    before = await batches.find_one_and_update(
        {
            "_id": batch_id,
            "status": {"$in": [BatchStatus.QUEUED, BatchStatus.PROCESSING]},
            "hold": None,
            "$expr": {"$lt": ["$lease_until", "$$NOW"]},
        },
        [
            {
                "$set": {
                    "status": str(BatchStatus.PROCESSING),
                    "epoch": {"$add": ["$epoch", 1]},
                    "sequence": {"$add": ["$sequence", 1]},
                    "started_at": {"$ifNull": ["$started_at", "$$NOW"]},
                    "updated_at": "$$NOW",
                    "lease_until": server_time_in(lease_seconds),
                    "reason": None,
                }
            }
        ],
        session=session,
    )
    if before is None:
        return None
    row = await batches.find_one({"_id": batch_id}, session=session)
    assert row is not None  # read in the transaction that has just written it
    first = before["status"] == BatchStatus.QUEUED
    kind = EventType.BATCH_PROCESSING if first else EventType.BATCH_HANDED_OVER
    event = await append_event(session, row, kind, {"epoch": row["epoch"]})
    return Batch.model_validate(row), event


async def renew_batch(batch_id: str, epoch: int, *, lease_seconds: float) -> Batch | None:
    """Keep a batch that we still hold, and return it; None when another epoch has it."""
    row = await Batch.get_pymongo_collection().find_one_and_update(
        {"_id": batch_id, "epoch": epoch, "status": str(BatchStatus.PROCESSING)},
        [{"$set": {"lease_until": server_time_in(lease_seconds)}}],
        return_document=ReturnDocument.AFTER,
    )
    return None if row is None else Batch.model_validate(row)


_TRIED = ["$counts.rows_failed", "$counts.rows_skipped", "$counts.rows_succeeded"]
_MOSTLY_FAILED = {"$gt": [{"$multiply": [2, "$counts.rows_failed"]}, {"$add": _TRIED}]}


def _within(waiting: int) -> dict[str, Any]:
    return {
        "$or": [
            {"place": {"$lte": waiting}},
            {"status": {"$ne": str(BatchStatus.QUEUED)}},
            {"reason.code": {"$ne": NAMESPACE_LIMIT}},
        ]
    }


async def read_due_batches(*, limit: int, waiting: int | None = None) -> list[str]:
    """Return batches to be looked at: unclaimed, lapsed, finished, canceled, late or failing.

    Each namespace's first comes before any namespace's second, both of those that wait, by their
    turn, and of those under way. Of those that are known to wait for their namespace's limit, as
    many as `waiting` are enough.
    """
    live = {"$in": [BatchStatus.QUEUED, BatchStatus.PROCESSING]}
    due = {
        "$or": [
            {"status": live, "hold": None, "$expr": {"$lt": ["$lease_until", "$$NOW"]}},
            {"status": str(BatchStatus.PROCESSING), "blocks_open": 0},
            {"status": str(BatchStatus.CANCELING)},
            {"status": live, **OVERDUE},
            {"status": live, "hold": str(Hold.STOPPING)},
            {"status": str(BatchStatus.PROCESSING), "$expr": _MOSTLY_FAILED},
        ]
    }
    cursor = await Batch.get_pymongo_collection().aggregate(
        [
            {"$match": due},
            {
                "$setWindowFields": {
                    "partitionBy": {
                        "namespace": "$namespace_id",
                        "waits": {"$eq": ["$status", str(BatchStatus.QUEUED)]},
                    },
                    "sortBy": {"turn_at": 1},
                    "output": {"place": {"$documentNumber": {}}},
                }
            },
            *([] if waiting is None else [{"$match": _within(waiting)}]),
            {"$sort": {"place": 1, "turn_at": 1, "_id": 1}},
            {"$limit": limit},
            {"$project": {"_id": 1}},
        ]
    )
    return [row["_id"] async for row in cursor]


@dataclass(frozen=True)
class LiveBatches:
    """How many batches have not ended, by state, and what is left of them."""

    batches: Mapping[str, int]
    blocks_open: int = 0
    oldest: datetime | None = None  # when it was submitted

    def oldest_seconds(self, moment: datetime) -> float:
        """The age of the oldest; 0 when there is none."""
        return 0.0 if self.oldest is None else max(0.0, (moment - self.oldest).total_seconds())


async def measure_live_batches() -> LiveBatches:
    """Return what there is of batches that were submitted and have not ended."""
    cursor = await Batch.get_pymongo_collection().aggregate(
        [
            {"$match": {"status": {"$in": sorted(LIVE)}}},
            {
                "$group": {
                    "_id": "$status",
                    "batches": {"$sum": 1},
                    "blocks": {"$sum": "$blocks_open"},
                    "oldest": {"$min": "$submitted_at"},
                }
            },
        ]
    )
    rows = [row async for row in cursor]
    return LiveBatches(
        {row["_id"]: row["batches"] for row in rows},
        sum(row["blocks"] for row in rows),
        min((row["oldest"] for row in rows if row["oldest"]), default=None),
    )
