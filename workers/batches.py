"""What happens next to a batch, and the only writer of its status.

Plain functions; actors are thin skins.
"""

import contextlib
from enum import StrEnum
from functools import partial
from typing import Any, Final, Protocol

from models.batch import (
    NAMESPACE_LIMIT,
    Batch,
    Counts,
    Reason,
    advance_batch,
    change_batch,
    claim_batch,
    create_batch,
)
from models.batch_member import add_members, delete_members
from models.block import Block, cancel_blocks, delete_other_blocks, sum_blocks
from models.bucket import Bucket
from models.database import Session
from models.errors import Conflict, IllegalTransition, InvalidInput, NotFound, RayUnavailable
from models.events import Event, EventType, SubjectType, append_notice
from models.failpoints import Failpoint, reach
from models.holding import cancel_idle_blocks, stop_batch
from models.idempotency import Claim
from models.ids import new_id
from models.object import Object
from models.quotas import may_process, pass_gate
from models.row_error import RowError
from models.scope import Scope
from models.states import BLOCK_LIVE, CANCELABLE, DELETABLE, BatchStatus, BlockStatus, Hold
from models.stored import now
from models.stores import Stores
from models.task import Task
from models.traces import span_below
from workers.breaker import end_early
from workers.deadlines import end_overdue
from workers.healing import heal_batch
from workers.lifecycle import require_active
from workers.orphans import read_orphans
from workers.transitions import announce_status, explain_wait, move_batch, update_task

MAX_OBJECT_IDS: Final = 1000  # of one call


class Engine(Protocol):
    """What the workers ask of the engine."""

    async def connect(self) -> None:
        """Reach it; raises RayUnavailable."""
        ...

    async def hand_over(self, batch_id: str, epoch: int) -> None:
        """Give it a batch under an epoch."""
        ...

    async def stop(self, batch_id: str) -> None:
        """Tell it to drop a batch."""
        ...


async def open_batch(
    stores: Stores,
    scope: Scope,
    *,
    bucket_id: str,
    name: str,
    metadata: dict[str, object],
    object_ids: list[str],
    batch_id: str | None = None,
    claim: Claim | None = None,
) -> Batch:
    """Create a draft with its first objects; `batch_id` is for whoever had to know it before.

    Raises:
        NotFound: an unknown bucket.
        Conflict: the bucket is being deleted.
        InvalidInput: names the first id that is not an object of the bucket; nothing was created.
    """
    bucket = await scope.require(Bucket, bucket_id, path=("bucketId",))
    require_active(bucket, path=("bucketId",))
    batch = Batch(
        id=batch_id or new_id("btc"),
        namespace_id=scope.namespace_id,
        bucket_id=bucket_id,
        name=name,
        metadata=metadata,
        reason=Reason(code="NOT_SUBMITTED", message="A draft: add objects, then submit it."),
    )
    await _require_objects(scope, batch, object_ids)

    async def work(session: Session) -> Event:
        created = await create_batch(session, batch)
        added, _ = await _add_members(session, batch, object_ids)
        await (claim or Claim()).settle(session, batch_id=batch.id)
        return added or created

    event = await stores.database.transaction(work)
    await stores.bus.announce(event.namespace_id, event.batch_id, event.sequence)
    return await scope.require(Batch, batch.id)


async def add_objects(
    stores: Stores,
    scope: Scope,
    batch_id: str,
    object_ids: list[str],
    *,
    claim: Claim | None = None,
) -> tuple[Batch, int]:
    """Add objects to a draft; return the batch and how many were new to it.

    Raises:
        NotFound: no such batch.
        InvalidInput: names the first id that is not an object of the batch's bucket.
        IllegalTransition: the batch is no draft.
    """
    batch = await scope.require(Batch, batch_id, path=("batchId",))
    _require_draft(batch)
    await _require_objects(scope, batch, object_ids)

    async def work(session: Session) -> tuple[Event | None, int]:
        event, added = await _add_members(session, batch, object_ids)
        await (claim or Claim()).settle(session, batch_id=batch_id, added=added)
        return event, added

    event, added = await stores.database.transaction(work)
    await reach(Failpoint.BATCH_FILLED)
    if event is not None:
        await stores.bus.announce(event.namespace_id, event.batch_id, event.sequence)
    return await scope.require(Batch, batch_id), added


def _require_draft(batch: Batch) -> None:
    if batch.status != BatchStatus.DRAFT:
        raise IllegalTransition(
            f"Batch {batch.id} is {batch.status}; objects can be added to a DRAFT only.",
            path=("batchId",),
            hint="Create another batch for further objects.",
        )


async def _require_objects(scope: Scope, batch: Batch, object_ids: list[str]) -> None:
    if len(object_ids) > MAX_OBJECT_IDS:
        raise InvalidInput(
            f"{len(object_ids)} ids in one call; at most {MAX_OBJECT_IDS}.", path=("objectIds",)
        )
    found = await scope.find_many(Object, object_ids)
    for place, object_id in enumerate(object_ids):
        item = found.get(object_id)
        if item is None or item.bucket_id != batch.bucket_id:
            raise InvalidInput(
                f"{object_id!r} is no object of bucket {batch.bucket_id}.",
                path=("objectIds", str(place)),
            )


async def _add_members(
    session: Session, batch: Batch, object_ids: list[str]
) -> tuple[Event | None, int]:
    added = await add_members(batch.namespace_id, batch.id, object_ids, session=session)
    if not added:
        return None, 0
    # The revision makes a submit that flattens at this moment start again.
    match = {"_id": batch.id, "status": str(BatchStatus.DRAFT)}
    change = {"$inc": {"counts.objects": added, "members_revision": 1}}
    event = await change_batch(session, match, change, EventType.OBJECTS_ADDED, {"added": added})
    if event is None:  # raising undoes the members too
        raise Conflict(
            f"Batch {batch.id} was submitted while objects were added.",
            hint="None of them was added; use another batch.",
        )
    return event, added


async def reconcile(stores: Stores, engine: Engine, batch_id: str) -> None:
    """Do whatever a batch's stored state asks for; any number of calls have the effect of one."""
    batch = await Batch.get(batch_id)
    if batch is None:
        return
    if batch.status == BatchStatus.CANCELING:
        await move_batch(stores, batch_id, BatchStatus.CANCELED, values=_ended())
    elif batch.hold is Hold.STOPPING:
        await _stop(stores, batch_id)
    elif batch.status == BatchStatus.PROCESSING and batch.blocks_open == 0:
        await _finish(stores, batch)
    elif batch.status in CANCELABLE and await end_overdue(stores, batch):
        pass
    elif batch.status == BatchStatus.PROCESSING and await end_early(stores, batch):
        pass  # it has ended; its run finds nothing to claim
    elif batch.status in (BatchStatus.QUEUED, BatchStatus.PROCESSING) and batch.hold is None:
        await _dispatch(stores, engine, batch)


async def _dispatch(stores: Stores, engine: Engine, batch: Batch) -> None:
    if not await _has_room(stores, batch):
        return
    try:
        await engine.connect()
    except RayUnavailable as error:
        await explain_wait(batch, "WAITING_FOR_ENGINE", error.message)
        return
    claimed = await _claim(stores, batch)
    if claimed is None:
        return
    await reach(Failpoint.BATCH_CLAIMED)
    try:
        with span_below("batch.dispatch", claimed.trace, batch_id=batch.id, epoch=claimed.epoch):
            await engine.hand_over(batch.id, claimed.epoch)
        await reach(Failpoint.BATCH_HANDED_OVER)
        # Of submits that died before they won, or of the one that won and died right after.
        await delete_other_blocks(batch.id, claimed.submission or "")
    except RayUnavailable as error:
        await explain_wait(claimed, "WAITING_FOR_ENGINE", error.message)


async def _has_room(stores: Stores, batch: Batch) -> bool:
    """Tell whether a batch may be claimed now; written down when it may not."""
    most = stores.settings.quotas.processing_batches
    if most is None or await may_process(batch.id, most=most):
        return True
    message = f"The namespace may have {most} batches under way at once; it waits for its turn."
    await explain_wait(batch, NAMESPACE_LIMIT, message)
    return False


async def _claim(stores: Stores, batch: Batch) -> Batch | None:
    most = stores.settings.quotas.processing_batches

    async def work(session: Session) -> tuple[Batch, Event] | None:
        if most is not None:
            await pass_gate(session, batch.namespace_id, "batches")
            if not await may_process(batch.id, most=most, session=session):
                return None
        lease = stores.settings.worker.lease_seconds
        claimed = await claim_batch(session, batch.id, lease_seconds=lease)
        if claimed is not None:
            await update_task(session, batch.id, BatchStatus.PROCESSING)
        return claimed

    claimed = await stores.database.transaction(work)
    if claimed is None:
        return None
    await announce_status(stores, claimed[1])
    return claimed[0]


async def _finish(stores: Stores, batch: Batch) -> None:
    """Count, then end the batch; a count that does not add up is a failure that says so."""
    sums = await sum_blocks(batch.id, batch.submission or "")
    if _blocks(sums, *BLOCK_LIVE) and await heal_batch(stores, batch.id):
        return
    to, message = judge(batch.counts, sums)
    await reach(Failpoint.BATCH_JUDGED)
    with span_below("batch.finish", batch.trace, batch_id=batch.id, status=str(to)):
        await move_batch(
            stores,
            batch.id,
            to,
            match={"blocks_open": 0},
            values={**_ended(), "error_message": message},
            data={"message": message} if message else None,
        )


def judge(counts: Counts, sums: list[dict[str, Any]]) -> tuple[BatchStatus, str | None]:
    """Return the state in which a batch ends, and why when it is not COMPLETED.

    `sums` are the sums of its blocks by collection and status (`models.block.sum_blocks`).
    """
    live = any(row["_id"]["status"] in BLOCK_LIVE for row in sums)
    written = sum(row["documents_written"] for row in sums)
    if live or written != counts.documents_written or counts.rows_settled != counts.rows_in:
        return BatchStatus.FAILED, "Counts do not add up: rows or documents are unaccounted for."
    if counts.rows_in and not counts.documents_written:
        return BatchStatus.FAILED, (
            f"{counts.rows_in} rows were read and no document was written: "
            f"{counts.rows_missing_input} lacked an input, {counts.rows_failed} failed, "
            f"{counts.rows_filtered} were filtered, {counts.rows_skipped} yielded nothing."
        )
    # A block of a later tier that failed before its rows were counted has no failed rows.
    failed, canceled = (_blocks(sums, s) for s in (BlockStatus.FAILED, BlockStatus.CANCELED))
    if counts.rows_failed or failed or canceled:
        return BatchStatus.COMPLETED_WITH_ERRORS, _summary(counts.rows_failed, failed, canceled)
    return BatchStatus.COMPLETED, None


def _blocks(sums: list[dict[str, Any]], *states: BlockStatus) -> int:
    return sum(row["blocks"] for row in sums if row["_id"]["status"] in states)


def _summary(rows: int, failed: int, canceled: int) -> str:
    parts = {
        "rows failed": rows,
        "blocks failed as a whole": failed,
        "blocks were not run because one that they read failed": canceled,
    }
    said = "; ".join(f"{number} {what}" for what, number in parts.items() if number)
    return f"{said}. See the batch's row errors."


def _ended() -> dict[str, object]:
    return {"finished_at": now(), "reason": None}


class CancelMode(StrEnum):
    """What becomes of the blocks in work."""

    SAFE = "SAFE"  # they end and are committed; the batch is canceled after the last of them
    FORCE = "FORCE"  # they are canceled too: nothing commits afterwards


async def cancel_batch(
    stores: Stores, scope: Scope, batch_id: str, *, mode: CancelMode = CancelMode.FORCE
) -> Batch:
    """Stop a queued or running batch; answers the present state when it had ended already.

    By force, every live block is canceled and fenced in one transaction. A batch that is being
    stopped safely can still be stopped by force.

    Raises:
        NotFound: no such batch.
        IllegalTransition: the batch is a draft, which is deleted instead.
    """
    batch = await scope.require(Batch, batch_id, path=("batchId",))
    if batch.status == BatchStatus.DRAFT:
        raise IllegalTransition(
            f"Batch {batch_id} is a DRAFT; nothing runs.",
            path=("batchId",),
            hint="Delete a draft with deleteBatch.",
        )
    if batch.status in CANCELABLE and mode is CancelMode.SAFE:
        await _begin_to_stop(stores, batch_id)
    elif batch.status in CANCELABLE:
        await _cancel(stores, batch_id)
    return await scope.require(Batch, batch_id)


async def _begin_to_stop(stores: Stores, batch_id: str) -> None:
    message = "To be canceled: what is in work ends, and nothing else begins."

    async def work(session: Session) -> Event | None:
        return await stop_batch(session, batch_id, Reason(code="STOPPING", message=message))

    event = await stores.database.transaction(work)
    if event is not None:
        await announce_status(stores, event)
    await _stop(stores, batch_id)


async def _stop(stores: Stores, batch_id: str) -> None:
    """Cancel what is not in work, and the batch when nothing is."""

    async def work(session: Session) -> bool:
        return await cancel_idle_blocks(session, batch_id)

    if await stores.database.transaction(work):
        await _cancel(stores, batch_id)


async def _cancel(stores: Stores, batch_id: str) -> None:
    async def work(session: Session) -> Event | None:
        event = await advance_batch(
            session, batch_id, BatchStatus.CANCELING, values={"blocks_open": 0}
        )
        if event is not None:
            await cancel_blocks(session, batch_id)
            await update_task(session, batch_id, BatchStatus.CANCELING)
        return event

    event = await stores.database.transaction(work)
    if event is not None:
        await reach(Failpoint.BATCH_CANCELING)
        await announce_status(stores, event)
        await move_batch(stores, batch_id, BatchStatus.CANCELED, values=_ended())


async def end_batch(stores: Stores, scope: Scope, batch: Batch) -> None:
    """Bring a batch to its end, whatever it is doing; a draft is deleted.

    Its state may change meanwhile: a caller that must be sure looks again.
    """
    if batch.status == BatchStatus.DRAFT:
        with contextlib.suppress(NotFound, IllegalTransition):  # gone, or just submitted
            await delete_batch(stores, scope, batch.id)
    elif batch.status in CANCELABLE:
        await _cancel(stores, batch.id)
    elif batch.status == BatchStatus.CANCELING:
        await move_batch(stores, batch.id, BatchStatus.CANCELED, values=_ended())


async def delete_batch(stores: Stores, scope: Scope, batch_id: str) -> None:
    """Forget a draft or an ended batch: its members, events, errors, task and manifest.

    Its documents stay, and with them the committed blocks and outputs that they can be rebuilt
    from.

    Raises:
        NotFound: no such batch.
        IllegalTransition: the batch is live; cancel it first.
    """
    found = await scope.require(Batch, batch_id, path=("batchId",))
    orphans = await read_orphans(stores, found) if found.status in DELETABLE else []
    batch = await stores.database.transaction(partial(_delete, batch_id))
    if batch is None:
        raise IllegalTransition(
            f"Batch {batch_id} is {found.status}.", path=("batchId",), hint="Cancel it first."
        )
    await delete_members(batch_id)
    await Block.get_pymongo_collection().delete_many(
        {"batch_id": batch_id, "status": {"$ne": str(BlockStatus.DONE)}}
    )
    for model in (RowError, Task, Event):
        await model.get_pymongo_collection().delete_many({"batch_id": batch_id})
    if batch.task_id is not None:
        await stores.bus.forget_task(batch.task_id)
    manifest = [artifact.key for artifact in batch.artifacts]
    await stores.artifacts.delete_keys([*orphans, *manifest])
    await stores.bus.announce(scope.namespace_id, batch_id, batch.sequence)


async def _delete(batch_id: str, session: Session) -> Batch | None:
    row = await Batch.get_pymongo_collection().find_one_and_delete(
        {"_id": batch_id, "status": {"$in": sorted(DELETABLE)}}, session=session
    )
    if row is None:
        return None
    batch: Batch = Batch.model_validate(row)
    await append_notice(
        session,
        batch.namespace_id,
        EventType.BATCH_DELETED,
        (SubjectType.BATCH, batch_id),
        data={"status": str(batch.status)},
        bucket_id=batch.bucket_id,
    )
    return batch
