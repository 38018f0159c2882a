"""Holding a live batch: no further block of it is claimed, and what is in work ends as usual.

A hold is no state of the table. A paused batch stays QUEUED or PROCESSING, for everything that is
true in those states stays true: it may be canceled, its blocks in work commit, and after the last
of them it ends. So the hold is a mark on the batch, whose hand-over asks for it, and on each of its
open blocks, whose claim asks for it: one transaction sets both, and a conductor that has heard
nothing finds no block. A block keeps its mark through failed attempts and lapsed leases; a block
that comes to be meanwhile takes the batch's.

A batch that is canceled safely is held in the same way, and stays PROCESSING as long as something
of it may commit: CANCELING says that nothing does.
"""

from pymongo.asynchronous.client_session import AsyncClientSession

from models.batch import Batch, Reason, change_batch
from models.block import Block
from models.events import Event, EventType
from models.states import BLOCK_LIVE, HOLDABLE, BatchStatus, BlockStatus, Hold
from models.stored import LONG_AGO, now


async def hold_batch(session: AsyncClientSession, batch_id: str, reason: Reason) -> Event | None:
    """Pause a live batch; None when it is on hold already, or not live."""
    event = await change_batch(
        session,
        {"_id": batch_id, "status": {"$in": sorted(HOLDABLE)}, "hold": None},
        {"$set": {"hold": str(Hold.PAUSED), "reason": reason.model_dump()}},
        EventType.BATCH_PAUSED,
    )
    if event is not None:
        await _mark_blocks(session, batch_id, held=True)
    return event


async def stop_batch(session: AsyncClientSession, batch_id: str, reason: Reason) -> Event | None:
    """Begin to stop a live batch, paused or not; None when that has begun, or it is not live."""
    event = await change_batch(
        session,
        {
            "_id": batch_id,
            "status": {"$in": sorted(HOLDABLE)},
            "hold": {"$ne": str(Hold.STOPPING)},
        },
        {"$set": {"hold": str(Hold.STOPPING), "reason": reason.model_dump()}},
        EventType.BATCH_STOPPING,
    )
    if event is not None:
        await _mark_blocks(session, batch_id, held=True)
    return event


async def cancel_idle_blocks(session: AsyncClientSession, batch_id: str) -> bool:
    """Cancel and fence what nobody works on of a batch that is being stopped.

    Tells whether nothing is in work any more.
    """
    stopping = {"_id": batch_id, "hold": str(Hold.STOPPING)}
    batches, blocks = Batch.get_pymongo_collection(), Block.get_pymongo_collection()
    if await batches.find_one(stopping, {"_id": 1}, session=session) is None:
        return False
    canceled = await blocks.update_many(
        {
            "batch_id": batch_id,
            "$or": [
                {"status": {"$in": [str(BlockStatus.WAITING), str(BlockStatus.READY)]}},
                {
                    "status": str(BlockStatus.LEASED),
                    "$expr": {"$lt": ["$lease_until", "$$NOW"]},
                },
            ],
        },
        {
            "$set": {"status": str(BlockStatus.CANCELED), "finished_at": now()},
            "$inc": {"epoch": 1},
        },
        session=session,
    )
    if canceled.modified_count:
        await batches.update_one(
            stopping, {"$inc": {"blocks_open": -canceled.modified_count}}, session=session
        )
    at_work = {"batch_id": batch_id, "status": {"$in": sorted(BLOCK_LIVE)}}
    return await blocks.find_one(at_work, {"_id": 1}, session=session) is None


async def lift_hold(session: AsyncClientSession, batch_id: str, queued: Reason) -> Event | None:
    """Let a paused batch go on, for `queued` if it is; None when it is not paused."""
    reasons = {BatchStatus.QUEUED: queued.model_dump(), BatchStatus.PROCESSING: None}
    for status, reason in reasons.items():
        event = await change_batch(
            session,
            {"_id": batch_id, "status": str(status), "hold": str(Hold.PAUSED)},
            {"$set": {"hold": None, "reason": reason}},
            EventType.BATCH_RESUMED,
        )
        if event is not None:
            await _mark_blocks(session, batch_id, held=False)
            return event
    return None


async def _mark_blocks(session: AsyncClientSession, batch_id: str, *, held: bool) -> None:
    await Block.get_pymongo_collection().update_many(
        {"batch_id": batch_id, "status": {"$in": sorted(BLOCK_LIVE)}},
        {"$set": {"held": held}},
        session=session,
    )


async def is_on_hold(session: AsyncClientSession, batch_id: str) -> bool:
    """Tell whether a new block of a batch has to be held.

    Whoever asks changes the batch in the same transaction, so a hold set meanwhile conflicts.
    """
    row = await Batch.get_pymongo_collection().find_one(
        {"_id": batch_id, "hold": {"$ne": None}}, {"_id": 1}, session=session
    )
    return row is not None


async def put_down(batch_id: str, epoch: int) -> bool:
    """Give up a batch on hold that nothing of is in work; False when it is not on hold.

    Its lease is over then, so a resume is followed by a hand-over at once.
    """
    result = await Batch.get_pymongo_collection().update_one(
        {"_id": batch_id, "epoch": epoch, "hold": {"$ne": None}},
        {"$set": {"lease_until": LONG_AGO}},
    )
    return result.matched_count == 1
