"""Planning and submitting: everything is written first, one compare-and-set makes it count."""

from dataclasses import dataclass
from typing import Any

from engine.manifest import CollectionFunnel, Manifest, ManifestWriter, plan_reading_blocks
from engine.planner import around, plan_batch
from models.batch import Batch, Counts, Reason, Tier, advance_batch
from models.batch_member import count_members
from models.block import Block, delete_blocks, delete_other_blocks, insert_blocks
from models.bucket import Bucket
from models.collection import Collection
from models.database import Session
from models.deadlines import begin_deadline
from models.errors import (
    Conflict,
    EmptyBatch,
    ErrorCategory,
    IllegalTransition,
    LimitExceeded,
)
from models.events import Event
from models.failpoints import Failpoint, reach
from models.idempotency import Claim
from models.ids import new_id
from models.row_error import RowError
from models.scope import Scope
from models.states import BatchStatus, BlockStatus, Lifecycle
from models.stores import Stores
from models.task import Task, TaskType
from models.traces import traceparent
from models.turns import turn_of
from workers.admission import require_bytes, require_room, require_rows
from workers.deadlines import choose_deadline
from workers.lifecycle import require_active
from workers.steering import require_priority
from workers.transitions import announce_status

_TRIES = 3  # flatten again when objects were added meanwhile


@dataclass(frozen=True)
class Plan:
    """What a submit would do."""

    tiers: list[list[Collection]]
    manifest: Manifest
    blocks: list[Block]
    estimated_seconds: float | None


@dataclass(frozen=True)
class Submission:
    """The answer to a submit; `replayed` when the batch had been submitted before."""

    batch: Batch
    task: Task
    replayed: bool


async def plan_submission(stores: Stores, scope: Scope, batch_id: str) -> Plan:
    """Do what submit does, writing nothing.

    Raises:
        NotFound, EmptyBatch, NothingToRun, InvalidMapping, CollectionCycle: as submit would.
    """
    batch = await scope.require(Batch, batch_id, path=("batchId",))
    tiers = await _plan_tiers(scope, batch)
    manifest = await _writer(stores, batch, "plan", write=False).write(tiers[0])
    blocks = manifest.blocks + plan_reading_blocks(batch, "plan", tiers, manifest.blocks)
    seconds = await _estimate(stores, tiers, manifest)
    return Plan(tiers, manifest, blocks, seconds)


async def submit_batch(
    stores: Stores,
    scope: Scope,
    batch_id: str,
    *,
    include_processing_history: bool = False,
    reuse: bool = True,
    priority: int = 0,
    deadline_seconds: float | None = None,
    claim: Claim | None = None,
) -> Submission:
    """Flatten a draft and queue it; a batch that was submitted before answers as it did then.

    Raises:
        NotFound, EmptyBatch, NothingToRun, InvalidMapping, CollectionCycle: nothing changed.
        InvalidInput: no such priority, or no time.
        LimitExceeded: more than the namespace, or a batch, may have.
        Conflict: objects kept being added while it was flattened.
        StoreUnavailable: nothing changed; try again.
    """
    require_priority(priority)
    held, quotas = claim or Claim(), stores.settings.quotas
    for _ in range(_TRIES):
        batch = await scope.require(Batch, batch_id, path=("batchId",))
        if batch.status != BatchStatus.DRAFT:
            answer = await replay_submission(scope, batch_id)
            await held.settle(None, batch_id=batch_id)
            return answer
        batch.include_processing_history = include_processing_history
        batch.reuse = reuse
        batch.priority = priority
        batch.deadline_seconds = choose_deadline(quotas, deadline_seconds)
        submission = new_id("sub")
        await require_room(quotas, scope.namespace_id)
        tiers = await _plan_tiers(scope, batch)
        require_rows(quotas, batch.counts.objects * len(tiers[0]))
        manifest = await _writer(stores, batch, submission, write=True).write(tiers[0])
        blocks = manifest.blocks + plan_reading_blocks(batch, submission, tiers, manifest.blocks)
        await reach(Failpoint.SUBMIT_FLATTENED)
        try:
            require_bytes(quotas, manifest)
            await insert_blocks(blocks)
            await reach(Failpoint.SUBMIT_BLOCKS_STORED)
            queued = await _queue(stores, batch, submission, tiers, manifest, len(blocks), held)
        except LimitExceeded:
            await _withdraw(stores, batch_id, submission, manifest)
            raise
        if queued is not None:
            await reach(Failpoint.BATCH_QUEUED)
            await delete_other_blocks(batch_id, submission)
            await announce_status(stores, queued)
            return await _answer(scope, batch_id, replayed=False)
        await _withdraw(stores, batch_id, submission, manifest)
    raise Conflict(
        f"Objects were added to batch {batch_id} while it was submitted.",
        hint="Add all objects first, then submit.",
    )


def _writer(stores: Stores, batch: Batch, submission: str, *, write: bool) -> ManifestWriter:
    return ManifestWriter(
        batch,
        submission,
        block_rows=stores.settings.engine.block_rows,
        objects=batch.counts.objects,
        store=stores.artifacts if write else None,
    )


async def _plan_tiers(scope: Scope, batch: Batch) -> list[list[Collection]]:
    if not await count_members(batch.id):
        raise EmptyBatch(
            f"Batch {batch.id} has no objects.", hint="Add objects with addObjectsToBatch."
        )
    bucket = await scope.require(Bucket, batch.bucket_id)
    require_active(bucket, path=("batchId",))
    active = {"lifecycle": {"$ne": str(Lifecycle.DELETING)}}
    collections = await scope.all(Collection, active)
    if batch.around is not None:
        collections = around(batch.around, collections)
    return plan_batch(batch.bucket_id, collections)


async def _withdraw(stores: Stores, batch_id: str, submission: str, manifest: Manifest) -> None:
    """Remove what an attempt wrote that did not win; nothing of another attempt is touched."""
    row = await Batch.get_pymongo_collection().find_one({"_id": batch_id}, {"submission": 1})
    if row is None or row["submission"] != submission:
        await delete_blocks(batch_id, submission)
        await stores.artifacts.delete_keys([artifact.key for artifact in manifest.artifacts])


async def _queue(
    stores: Stores,
    batch: Batch,
    submission: str,
    tiers: list[list[Collection]],
    manifest: Manifest,
    blocks: int,
    claim: Claim,
) -> Event | None:
    task = Task(
        id=new_id("tsk"),
        namespace_id=batch.namespace_id,
        type=TaskType.BATCH_SUBMIT,
        batch_id=batch.id,
        status=BatchStatus.QUEUED,
    )
    values = _queued_values(batch, submission, tiers, manifest, blocks, task)
    unchanged = {"members_revision": batch.members_revision}
    errors = _missing_errors(batch, tiers[0], manifest.funnels)

    async def work(session: Session) -> Event | None:
        event = await advance_batch(
            session, batch.id, BatchStatus.QUEUED, match=unchanged, values=values
        )
        if event is not None:
            await begin_deadline(session, batch.id, batch.deadline_seconds)
            await require_room(stores.settings.quotas, batch.namespace_id, session)
            await claim.settle(session, batch_id=batch.id)
            await Task.get_pymongo_collection().insert_one(task.to_mongo(), session=session)
            if errors:
                await RowError.get_pymongo_collection().insert_many(errors, session=session)
        return event

    return await stores.database.transaction(work)


def _queued_values(
    batch: Batch,
    submission: str,
    tiers: list[list[Collection]],
    manifest: Manifest,
    blocks: int,
    task: Task,
) -> dict[str, Any]:
    counts = Counts(
        objects=batch.counts.objects,
        rows_in=sum(funnel.rows_in for funnel in manifest.funnels.values()),
        rows_filtered=sum(funnel.filtered for funnel in manifest.funnels.values()),
        rows_missing_input=sum(funnel.missing for funnel in manifest.funnels.values()),
    )
    reason = Reason(code="WAITING_FOR_WORKER", message="Queued; a worker will take it.")
    return {
        "submission": submission,
        "include_processing_history": batch.include_processing_history,
        "reuse": batch.reuse,
        "priority": batch.priority,
        "deadline_seconds": batch.deadline_seconds,
        "turn_at": turn_of(task.created_at, batch.priority),
        "tiers": [
            Tier(number=number, collection_ids=[c.id for c in tier]).model_dump()
            for number, tier in enumerate(tiers)
        ],
        "artifacts": [artifact.model_dump() for artifact in manifest.artifacts],
        "funnels": {key: f.stored.model_dump() for key, f in manifest.funnels.items()},
        "counts": counts.model_dump(),
        "blocks_total": blocks,
        "blocks_open": blocks,
        "task_id": task.id,
        "trace": traceparent(),
        "submitted_at": task.created_at,
        "reason": reason.model_dump(),
    }


def _missing_errors(
    batch: Batch, tier: list[Collection], funnels: dict[str, CollectionFunnel]
) -> list[dict[str, Any]]:
    return [
        RowError(
            id=new_id("err"),
            namespace_id=batch.namespace_id,
            batch_id=batch.id,
            collection_id=collection.id,
            block_id="",
            object_id=one.object_id,
            source_id=one.source_id,
            category=ErrorCategory.VALIDATION,
            extractor=collection.extractor.label,
            message=one.message,
            hint="Give the object that field, or change the collection's mapping.",
            missing_input=True,
        ).to_mongo()
        for collection in tier
        for one in funnels[collection.id].sample
    ]


async def replay_submission(scope: Scope, batch_id: str) -> Submission:
    """Return what a submit answered; raises NotFound or IllegalTransition."""
    batch = await scope.require(Batch, batch_id, path=("batchId",))
    if batch.task_id is None:
        raise IllegalTransition(f"Batch {batch.id} is {batch.status} and was never submitted.")
    return await _answer(scope, batch.id, replayed=True)


async def _answer(scope: Scope, batch_id: str, *, replayed: bool) -> Submission:
    batch = await scope.require(Batch, batch_id)
    task = await scope.require(Task, batch.task_id or "")
    return Submission(batch, task, replayed)


async def _estimate(
    stores: Stores, tiers: list[list[Collection]], manifest: Manifest
) -> float | None:
    """Seconds for the first tier at the rate of the same collections' latest blocks, or None."""
    seconds = 0.0
    parallel = max(stores.settings.engine.pool_size or 2, 1)
    for collection in tiers[0]:
        rate = await _rows_per_second(collection.id)
        if rate is None:
            return None
        seconds += manifest.funnels[collection.id].submitted / rate / parallel
    return seconds


async def _rows_per_second(collection_id: str) -> float | None:
    recent = Block.get_pymongo_collection().find(
        {"collection_id": collection_id, "status": str(BlockStatus.DONE)},
        sort=[("_id", -1)],
        limit=50,
    )
    rows, seconds = 0, 0.0
    async for row in recent:
        rows += row["counts"]["rows_in"]
        seconds += (row["finished_at"] - row["started_at"]).total_seconds()
    return rows / seconds if seconds else None
