"""How much of a namespace may be under way at once, counted where nothing can slip past.

Whoever wants to begin something passes the namespace's gate: a document that the transaction
changes first. Two that pass at once conflict, and the later one begins again and counts what the
earlier one has begun. What ends needs no gate, for it only makes room.
"""

from datetime import datetime
from typing import Any, ClassVar

from pymongo import IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from models.batch import Batch
from models.block import Block
from models.states import LIVE, BatchStatus, BlockStatus
from models.stored import Namespaced, now

Congestion = tuple[int, datetime | None]  # batches under way, and when one last changed


class Gate(Namespaced):
    """What is passed one at a time; a namespace has one for each kind of thing."""

    passed: int = 0

    class Settings:
        """Where it is stored."""

        name = "gates"
        indexes: ClassVar = [IndexModel([("namespace_id", 1)], name="namespace")]


async def pass_gate(session: AsyncClientSession, namespace_id: str, kind: str) -> None:
    """Stand alone, until the transaction ends, among those who pass the same gate."""
    await Gate.get_pymongo_collection().update_one(
        {"_id": f"{namespace_id}/{kind}"},
        {
            "$inc": {"passed": 1},
            "$setOnInsert": {"namespace_id": namespace_id, "created_at": now()},
        },
        upsert=True,
        session=session,
    )


async def count_live(namespace_id: str, session: AsyncClientSession | None = None) -> int:
    """Count the batches of a namespace that were submitted and have not ended."""
    return await Batch.get_pymongo_collection().count_documents(
        {"namespace_id": namespace_id, "status": {"$in": sorted(LIVE)}}, session=session
    )


async def count_in_work(session: AsyncClientSession | None, namespace_id: str) -> int:
    """Count the blocks of a namespace that somebody works on, under a lease that has not lapsed."""
    return await Block.get_pymongo_collection().count_documents(
        {
            "namespace_id": namespace_id,
            "status": str(BlockStatus.LEASED),
            "$expr": {"$gte": ["$lease_until", "$$NOW"]},
        },
        session=session,
    )


async def read_congestion(namespace_id: str) -> Congestion:
    """Return how many batches are truly under way, and when one of the namespace last changed.

    Under way are those that a conductor holds and has not done with.
    """
    batches = Batch.get_pymongo_collection()
    under_way = await batches.count_documents(
        {
            "namespace_id": namespace_id,
            "status": str(BatchStatus.PROCESSING),
            "hold": None,
            "blocks_open": {"$gt": 0},
            "$expr": {"$gte": ["$lease_until", "$$NOW"]},
        }
    )
    latest = await batches.find_one(
        {"namespace_id": namespace_id}, {"updated_at": 1}, sort=[("updated_at", -1)]
    )
    return under_way, None if latest is None else latest["updated_at"]


async def may_process(
    batch_id: str, *, most: int, session: AsyncClientSession | None = None
) -> bool:
    """Tell whether a batch may be under way beside so many at most of its namespace.

    One that waits gives way to those whose turn comes before. One that was under way already and
    whose lease ran out counts only those whose lease has not: else it could wait for another that
    waits for it.
    """
    batches = Batch.get_pymongo_collection()
    row = await batches.find_one({"_id": batch_id}, session=session)
    if row is None:
        return False
    others = {"namespace_id": row["namespace_id"], "_id": {"$ne": batch_id}, "hold": None}
    processing: dict[str, Any] = {**others, "status": str(BatchStatus.PROCESSING)}
    if row["status"] != BatchStatus.QUEUED:
        processing["$expr"] = {"$gte": ["$lease_until", "$$NOW"]}
        return await batches.count_documents(processing, session=session) < most
    turn: datetime = Batch.model_validate(row).turn_at
    ahead = {
        **others,
        "status": str(BatchStatus.QUEUED),
        "$or": [{"turn_at": {"$lt": turn}}, {"turn_at": turn, "_id": {"$lt": batch_id}}],
    }
    under_way = await batches.count_documents(processing, session=session)
    return under_way + await batches.count_documents(ahead, limit=most, session=session) < most


async def read_next(namespace_id: str) -> str | None:
    """Return the batch of a namespace whose turn it is among those that wait."""
    row = await Batch.get_pymongo_collection().find_one(
        {"namespace_id": namespace_id, "status": str(BatchStatus.QUEUED), "hold": None},
        {"_id": 1},
        sort=[("turn_at", 1), ("_id", 1)],
    )
    return None if row is None else row["_id"]
