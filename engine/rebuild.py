"""Writes a collection's points again, from the artifacts that its documents were committed with.

Qdrant itself says how far this is: a block whose points are all there is passed over, so it may be
stopped anywhere and started again. Batches may run meanwhile. A point that one of them writes while
we write its predecessor's may be lost, so passes are made until one finds nothing to write and
every block that was under way before it has ended.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from engine.inputs import InputReader
from engine.vector_columns import read_column
from models.block import Block, read_leased
from models.collection import Collection
from models.document import Document
from models.errors import ArtifactCorrupt, StoreUnavailable
from models.failpoints import Failpoint, reach
from models.stores import Stores
from models.vector_payload import point_payload

_POLL_SECONDS: Final = 0.5
Report = Callable[["Rebuilt"], None]


@dataclass
class Rebuilt:
    """How far a collection is, and what could not be brought back."""

    blocks: int = 0  # of this pass
    blocks_looked_at: int = 0
    points_written: int = 0
    lost: dict[str, str] = field(default_factory=dict)  # what is wrong, by block


async def rebuild_collection(
    stores: Stores, collection: Collection, *, report: Report, everything: bool = False
) -> Rebuilt:
    """Write every point that is missing, or all of them; return what was done.

    Raises:
        StoreUnavailable: a store does not answer; start again to go on.
    """
    done = Rebuilt()
    if not collection.vectors:
        return done
    await stores.vectors.ensure(collection)
    reader = InputReader(stores.artifacts)
    under_way: set[str] = set()
    while True:
        under_way &= await read_leased(collection.id)
        before = done.points_written
        await _pass(stores, collection, reader, done, report, everything=everything)
        wrote, everything = done.points_written > before, False
        if wrote:
            under_way = await read_leased(collection.id)
        elif not under_way:
            break
        else:
            await asyncio.sleep(_POLL_SECONDS)
    await reach(Failpoint.POINTS_REBUILT)
    # Also when nothing was written: an earlier run may have been stopped before it came here.
    await _change_signature(stores, collection)
    return done


async def _pass(
    stores: Stores,
    collection: Collection,
    reader: InputReader,
    done: Rebuilt,
    report: Report,
    *,
    everything: bool,
) -> None:
    blocks = await _blocks(collection)
    done.blocks, done.blocks_looked_at = len(blocks), 0
    for row in blocks:
        block_id, epoch = row["_id"]["block_id"], row["_id"]["epoch"]
        there = await stores.vectors.count_block(collection.id, block_id, epoch=epoch)
        if (everything or there != row["documents"]) and block_id not in done.lost:
            try:
                done.points_written += await _write(stores, collection, reader, block_id)
            except ArtifactCorrupt as error:
                done.lost[block_id] = error.message
        done.blocks_looked_at += 1
        report(done)


async def _blocks(collection: Collection) -> list[dict[str, Any]]:
    """Return the blocks, by epoch, that the collection's documents come from, with how many."""
    cursor = await Document.get_pymongo_collection().aggregate(
        [
            {"$match": {"namespace_id": collection.namespace_id, "collection_id": collection.id}},
            {
                "$group": {
                    "_id": {"block_id": "$block_id", "epoch": "$epoch"},
                    "documents": {"$sum": 1},
                }
            },
            {"$sort": {"_id": 1}},
        ],
        allowDiskUse=True,
    )
    return [row async for row in cursor]


async def _write(stores: Stores, collection: Collection, reader: InputReader, block_id: str) -> int:
    """Write the points of a block's documents; return how many.

    Raises:
        ArtifactCorrupt: its artifact is gone or changed.
    """
    block = await Block.get(block_id)
    if block is None or block.output is None:
        raise ArtifactCorrupt(f"Block {block_id} has no committed artifact.")
    table = await reader.artifact(block.output)
    documents = await _committed(collection, block, table.column("document_id").to_pylist())
    # Rows of the artifact that are no documents of that block any more have no points either.
    table = table.filter(pc.is_in(table.column("document_id"), pa.array(documents, pa.string())))
    ids: list[str] = table.column("document_id").to_pylist()
    await stores.vectors.upsert(
        collection.id,
        ids,
        [point_payload(collection, documents[one]) for one in ids],
        {one.name: read_column(one, table.column(one.name)) for one in collection.vectors},
        block_id=block.id,
        epoch=block.epoch,
    )
    return len(ids)


async def _committed(
    collection: Collection, block: Block, ids: list[str]
) -> dict[str, dict[str, Any]]:
    """Return those documents that are still of that block, by id."""
    found = Document.get_pymongo_collection().find(
        {"_id": {"$in": ids}, "collection_id": collection.id, "block_id": block.id}
    )
    return {row["_id"]: row async for row in found}


async def _change_signature(stores: Stores, collection: Collection) -> None:
    """Let no answer that was cached while points were missing be given any more."""
    await Collection.get_pymongo_collection().update_one(
        {"_id": collection.id}, {"$inc": {"revision": 1}}
    )
    with contextlib.suppress(StoreUnavailable):
        await stores.answers.drop_collection(collection.namespace_id, collection.id)
