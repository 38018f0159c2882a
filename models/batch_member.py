"""Membership of objects in batches, one small document each, so a batch may hold millions.

_id is `<batch id>/<object id>`: adding twice is a no-op by the primary key alone.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

from pymongo import IndexModel, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from models.stored import Namespaced

_CHUNK = 1000


class BatchMember(Namespaced):
    """One object of one batch."""

    batch_id: str
    object_id: str

    class Settings:
        """Where it is stored and how it is found."""

        name = "batch_members"
        indexes: ClassVar = [IndexModel([("batch_id", 1), ("_id", 1)], name="members")]


async def add_members(
    namespace_id: str,
    batch_id: str,
    object_ids: Sequence[str],
    *,
    session: AsyncClientSession | None = None,
) -> int:
    """Add objects to a batch; return how many were not in it before.

    Belongs in the transaction that counts them, so that nobody sees members without their count.
    """
    rows: dict[str, dict[str, Any]] = {
        f"{batch_id}/{object_id}": {
            "namespace_id": namespace_id,
            "batch_id": batch_id,
            "object_id": object_id,
        }
        for object_id in object_ids
    }
    if not rows:
        return 0
    result = await BatchMember.get_pymongo_collection().bulk_write(
        [UpdateOne({"_id": key}, {"$setOnInsert": row}, upsert=True) for key, row in rows.items()],
        ordered=False,
        session=session,
    )
    return result.upserted_count


async def read_members(batch_id: str) -> AsyncIterator[list[str]]:
    """Yield the object ids of a batch, a thousand at a time, in the order of their ids."""
    cursor = BatchMember.get_pymongo_collection().find(
        {"batch_id": batch_id}, {"_id": 0, "object_id": 1}, batch_size=_CHUNK
    )
    chunk: list[str] = []
    async for row in cursor.sort("_id", 1):
        chunk.append(row["object_id"])
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def count_members(batch_id: str) -> int:
    """Return the number of objects in a batch."""
    return await BatchMember.get_pymongo_collection().count_documents({"batch_id": batch_id})


async def delete_members(batch_id: str) -> None:
    """Forget the membership of a deleted batch."""
    await BatchMember.get_pymongo_collection().delete_many({"batch_id": batch_id})
