"""How a batch changes its status: state, event and task in one transaction, then doorbells."""

from collections.abc import Mapping
from typing import Any

from models import metrics
from models.batch import Batch, Reason, advance_batch
from models.block import cancel_blocks
from models.database import Session
from models.events import Event, EventType
from models.failpoints import Failpoint, reach
from models.quotas import read_next
from models.states import FINAL, BatchStatus
from models.stored import now
from models.stores import Stores
from models.task import Task


async def move_batch(
    stores: Stores,
    batch_id: str,
    to: BatchStatus,
    *,
    match: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> Event | None:
    """Move a batch, if the state table allows it; None when somebody else was faster."""

    async def work(session: Session) -> Event | None:
        event = await advance_batch(session, batch_id, to, match=match, values=values, data=data)
        if event is not None:
            await update_task(session, batch_id, to, (values or {}).get("error_message"))
        return event

    event = await stores.database.transaction(work)
    if event is not None:
        await reach(Failpoint.BATCH_MOVED)
        await announce_status(stores, event)
    return event


async def fail_batch(
    stores: Stores,
    batch_id: str,
    message: str,
    *,
    match: Mapping[str, Any],
    of_blocks: str,
    reason: Reason | None = None,
) -> bool:
    """Fail a live batch for good; every block of it is canceled and fenced in the same moment."""
    values = {
        "blocks_open": 0,
        "error_message": message,
        "finished_at": now(),
        "reason": None if reason is None else reason.model_dump(),
    }
    data = {"message": message, **({} if reason is None else {"code": reason.code})}

    async def work(session: Session) -> Event | None:
        event = await advance_batch(
            session, batch_id, BatchStatus.FAILED, match=match, values=values, data=data
        )
        if event is not None:
            await cancel_blocks(session, batch_id, reason=of_blocks)
            await update_task(session, batch_id, BatchStatus.FAILED, message)
        return event

    event = await stores.database.transaction(work)
    if event is not None:
        await announce_status(stores, event)
    return event is not None


async def update_task(
    session: Session, batch_id: str, status: BatchStatus, error_message: str | None = None
) -> None:
    """Let the batch's task say what the batch says."""
    moment = now()
    values = {
        "status": str(status),
        "error_message": error_message,
        "updated_at": moment,
        "finished_at": moment if status in FINAL else None,
    }
    await Task.get_pymongo_collection().update_many(
        {"batch_id": batch_id}, {"$set": values, "$inc": {"sequence": 1}}, session=session
    )


async def announce_status(stores: Stores, event: Event) -> None:
    """Ring the batch's followers, renew the mirror of its task, let another take its place."""
    metrics.BATCH_EVENTS.labels(str(event.type)).inc()
    await stores.bus.announce(event.namespace_id, event.batch_id, event.sequence)
    row = await Task.get_pymongo_collection().find_one({"batch_id": event.batch_id})
    if row is not None:
        task = Task.model_validate(row)
        await stores.bus.mirror_task(task.id, task.model_dump_json(by_alias=True))
    makes_room = event.status in FINAL or event.type is EventType.BATCH_PAUSED
    if makes_room and stores.settings.quotas.processing_batches is not None:
        await _ring_next(stores, event.namespace_id)


async def _ring_next(stores: Stores, namespace_id: str) -> None:
    """Ring for the batch that waited for room in the namespace, if one did."""
    waits = await read_next(namespace_id)
    if waits is not None:
        await stores.bus.ring_workers(waits)


async def explain_wait(batch: Batch, code: str, message: str) -> None:
    """Write down why a batch waits; not a change of state, so no event."""
    if batch.reason is not None and batch.reason.code == code:
        return
    await Batch.get_pymongo_collection().update_one(
        {"_id": batch.id, "status": str(batch.status), "hold": None},
        {"$set": {"reason": {"code": code, "message": message, "since": now()}}},
    )
