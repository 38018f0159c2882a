"""Deadline: the moment, by MongoDB's clock, at which a batch has to have ended."""

from pymongo.asynchronous.client_session import AsyncClientSession

from models.batch import OVERDUE, Batch
from models.stored import server_time_in


async def begin_deadline(session: AsyncClientSession, batch_id: str, seconds: float | None) -> None:
    """Let the time that a batch has begin now; None is for ever."""
    if seconds is not None:
        await Batch.get_pymongo_collection().update_one(
            {"_id": batch_id}, [{"$set": {"deadline_at": server_time_in(seconds)}}], session=session
        )


async def is_overdue(batch_id: str) -> bool:
    """Tell whether a batch's deadline has passed."""
    row = await Batch.get_pymongo_collection().find_one({"_id": batch_id, **OVERDUE}, {"_id": 1})
    return row is not None
