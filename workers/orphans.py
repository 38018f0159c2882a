"""Removes from S3 what attempts left there and nothing refers to.

Readers follow pointers: to the manifest of the submission that won, to the output of a block that
is done. An attempt that lost a race, its lease or its process leaves a file that no pointer names.
Long after its batch has ended no attempt is under way any more; then such files go. What extractors
made for documents (`media`) stays: any document may point to it.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from models import metrics
from models.artifacts import output_key
from models.batch import Batch
from models.block import Block
from models.stored import now
from models.stores import Stores

_AT_ONCE: Final = 20  # batches in one sweep


async def collect_orphans(stores: Stores) -> None:
    """Look once at each batch that ended long enough ago."""
    batches = Batch.get_pymongo_collection()
    before = now() - timedelta(hours=stores.settings.worker.orphan_hours)
    due = {"tidied": {"$ne": True}, "finished_at": {"$lt": before}}
    async for row in batches.find(due, limit=_AT_ONCE):
        batch: Batch = Batch.model_validate(row)
        keys = await read_orphans(stores, batch)
        await stores.artifacts.delete_keys(keys)
        metrics.ORPHANS.inc(len(keys))
        await batches.update_one(
            {"_id": batch.id, "finished_at": row["finished_at"]}, {"$set": {"tidied": True}}
        )


async def read_orphans(stores: Stores, batch: Batch) -> list[str]:
    """Return the keys of a batch that has ended which nothing refers to; some may be gone already.

    Raises:
        StoreUnavailable: S3 does not answer.
    """
    keys = [key async for key in _outputs_that_do_not_count(batch.id)]
    folder = f"{batch.namespace_id}/batches/{batch.id}"
    for submission in await stores.artifacts.list_folders(folder):
        if submission != batch.submission:
            keys += await stores.artifacts.list_keys(f"{folder}/{submission}")
    return keys


async def _outputs_that_do_not_count(batch_id: str) -> AsyncIterator[str]:
    suspects = {"batch_id": batch_id, "$or": [{"epoch": {"$gt": 1}}, {"output": None}]}
    async for row in Block.get_pymongo_collection().find(suspects):
        block: Block = Block.model_validate(row)
        counts = block.output and block.output.key
        for key in output_keys(block):
            if key != counts:
                yield key


def output_keys(block: Block) -> list[str]:
    """Return the keys under which the attempts at a block may have stored their outputs."""
    return [
        output_key(
            block.namespace_id, block.batch_id, block.submission, block_id=block.id, epoch=epoch
        )
        for epoch in range(1, block.epoch + 1)
    ]
