"""Removes documents that their rows no longer yield, and whatever was made of them further down."""

from collections.abc import Mapping
from typing import Any

from engine.output import Output, Work
from models.collection import Collection
from models.database import Session
from models.document import Document


async def remove_stale(session: Session, work: Work, output: Output) -> dict[str, list[str]]:
    """Delete what the block's rows yielded once and yield no longer; return ids by collection.

    A row that failed this time keeps what it yielded before.
    """
    # An earlier epoch of the same block may have committed before a retry reopened it.
    unless = {"$nor": [{"block_id": work.block.id, "epoch": work.block.epoch}]}
    frontier: list[tuple[str, Mapping[str, Any]]] = [
        (work.collection.id, {"source_id": {"$in": output.settled_sources}, **unless})
    ]
    removed: dict[str, list[str]] = {}
    while frontier:
        collection_id, match = frontier.pop()
        ids = await _remove(session, collection_id, match)
        if ids:
            removed.setdefault(collection_id, []).extend(ids)
            readers = await _readers(session, work, collection_id)
            frontier += [(reader, {"source_id": {"$in": ids}}) for reader in readers]
    return removed


async def _remove(session: Session, collection_id: str, match: Mapping[str, Any]) -> list[str]:
    documents = Document.get_pymongo_collection()
    found = documents.find({"collection_id": collection_id, **match}, {"_id": 1}, session=session)
    ids = [row["_id"] async for row in found]
    if ids:
        await documents.delete_many({"_id": {"$in": ids}}, session=session)
        await Collection.get_pymongo_collection().update_one(
            {"_id": collection_id},
            {"$inc": {"document_count": -len(ids), "revision": 1}},
            session=session,
        )
    return ids


async def _readers(session: Session, work: Work, collection_id: str) -> list[str]:
    found = Collection.get_pymongo_collection().find(
        {"namespace_id": work.batch.namespace_id, "source.collection_ids": collection_id},
        {"_id": 1},
        session=session,
    )
    return [row["_id"] async for row in found]
