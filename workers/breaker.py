"""Ends a batch early when most of its rows fail of one cause: going on would fail the rest as well.

Not while another branch of collections has work of its own: a failed branch blocks its descendants
only.
"""

from collections import Counter
from typing import Final

from models.batch import Batch
from models.block import Block, Failure
from models.collection import Collection
from models.scope import Scope
from models.states import BLOCK_LIVE, BatchStatus, BlockStatus
from models.stores import Stores
from workers.transitions import fail_batch

ROWS: Final = 100  # that were tried, or
_BLOCKS: Final = 3  # that have ended, before a batch is judged
# Not a block whose rows a retry has taken out, nor one that had none to read: they tell nothing.
_HAS_TRIED: Final = [
    {f"counts.rows_{outcome}": {"$gt": 0}} for outcome in ("failed", "skipped", "succeeded")
]


async def end_early(stores: Stores, batch: Batch) -> bool:
    """Fail a batch whose rows mostly fail of one cause; False when there is no reason to."""
    if not batch.counts.mostly_failed or not await _has_tried_enough(batch):
        return False
    failures = await _failures(batch)
    found = _main_cause(batch, failures)
    if found is None:
        return False
    cause, rows = found
    failing = {collection for collection, one in failures if one.cause == cause.cause}
    if await _has_other_branches(batch, failing):
        return False
    message = (
        f"Ended early: {rows} of {batch.counts.rows_tried} rows failed in {cause.extractor} of one "
        f"cause: {cause.message}"
    )
    return await _end(stores, batch, message)


async def _has_tried_enough(batch: Batch) -> bool:
    if batch.counts.rows_tried >= ROWS:
        return True
    match = {
        "batch_id": batch.id,
        "submission": batch.submission,
        "status": {"$in": [str(BlockStatus.DONE), str(BlockStatus.FAILED)]},
        "$or": _HAS_TRIED,
    }
    return await Block.get_pymongo_collection().count_documents(match, limit=_BLOCKS) == _BLOCKS


async def _failures(batch: Batch) -> list[tuple[str, Failure]]:
    """Return what the blocks mostly failed of, each with its collection."""
    cursor = Block.get_pymongo_collection().find(
        {"batch_id": batch.id, "submission": batch.submission, "failure": {"$ne": None}},
        {"collection_id": 1, "failure": 1},
    )
    return [(row["collection_id"], Failure.model_validate(row["failure"])) async for row in cursor]


def _main_cause(batch: Batch, failures: list[tuple[str, Failure]]) -> tuple[Failure, int] | None:
    """Return the one cause of which more than half of the tried rows failed, and how many did."""
    rows: Counter[tuple[str, str, str]] = Counter()
    for _, failure in failures:
        rows[failure.cause] += failure.rows
    for cause, number in rows.most_common(1):
        if 2 * number > batch.counts.rows_tried:
            return next(one for _, one in failures if one.cause == cause), number
    return None


async def _has_other_branches(batch: Batch, failing: set[str]) -> bool:
    """Tell whether a collection neither above nor below the failing ones has work left."""
    wanted = [one for tier in batch.tiers for one in tier.collection_ids]
    collections = await Scope(batch.namespace_id).find_many(Collection, wanted)
    reads = {one.id: set(one.source.collection_ids) for one in collections.values()}
    related = _below(failing, reads) | _above(failing, reads)
    match = {
        "batch_id": batch.id,
        "submission": batch.submission,
        "status": {"$in": sorted(BLOCK_LIVE)},
        "collection_id": {"$nin": sorted(related)},
    }
    return await Block.get_pymongo_collection().find_one(match, {"_id": 1}) is not None


def _below(start: set[str], reads: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    frontier = set(start)
    while frontier:
        found |= frontier
        frontier = {one for one, sources in reads.items() if sources & frontier} - found
    return found


def _above(start: set[str], reads: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    frontier = set(start)
    while frontier:
        found |= frontier
        frontier = {source for one in frontier for source in reads.get(one, set())} - found
    return found


async def _end(stores: Stores, batch: Batch, message: str) -> bool:
    return await fail_batch(
        stores,
        batch.id,
        message,
        match={"blocks_open": {"$gt": 0}, "status": str(BatchStatus.PROCESSING)},
        of_blocks="Not run: the batch was ended early.",
    )
