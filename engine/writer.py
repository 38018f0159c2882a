"""Commits a block: artifact, vectors, then one transaction that makes all of it true.

Order: output Parquet to S3 (create-only, epoch in the key), points to Qdrant (`wait=true`,
deterministic ids), and in one MongoDB transaction the block's DONE with its pointer and counts, the
documents, the removal of documents that the rows no longer yield, the row errors, the collection's
revision and the batch's counts with their event. A writer whose epoch is over is refused there and
leaves nothing that can be read.
"""

import asyncio
import logging
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo import ReplaceOne, ReturnDocument

from engine.inputs import BlockRows
from engine.output import Output, PutOff, Work, build_output
from engine.parquet import write_parquet
from engine.spec import Extraction
from engine.stale import remove_stale
from engine.vector_columns import read_column
from models.artifacts import output_key, sha256_of
from models.batch import Counts, change_batch, complete_tier
from models.block import (
    Block,
    BlockCounts,
    Failure,
    Pointer,
    cancel_readers,
    finish_block,
    is_tier_open,
    put_off_rows,
    release_block,
    renew_block,
    wake_readers,
)
from models.collection import Collection
from models.database import Session
from models.document import Document
from models.errors import ErrorCategory, StaleBlock
from models.events import Event, EventType, SubjectType, append_notice
from models.failpoints import Failpoint, reach
from models.holding import is_on_hold
from models.ids import new_id
from models.observed import unseen
from models.row_error import RowError
from models.states import BatchStatus, BlockStatus, Lifecycle
from models.stored import now
from models.stores import Stores
from models.traces import span_within
from models.vector_payload import point_payload

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stored:
    """An output that is on S3 and in Qdrant, and does not count yet."""

    output: Output
    pointer: Pointer
    retry_at: datetime  # of the rows that were put off


async def store_block(
    stores: Stores,
    work: Work,
    rows: BlockRows,
    extraction: Extraction,
    put_off: PutOff,
    *,
    progress: Callable[[], None],
) -> Stored:
    """Write what nobody can see yet: the artifact and the points.

    Raises:
        StaleBlock: the block was claimed again or canceled meanwhile.
        StoreUnavailable: a store failed; the attempt may be repeated.
    """
    output = await asyncio.to_thread(build_output, work, rows, extraction, put_off)
    progress()
    pointer = await _store_artifact(stores, work, output)
    await reach(Failpoint.ARTIFACT_STORED)
    progress()
    await _require_ours(stores, work.block)
    await _store_points(stores, work, output, progress)
    await reach(Failpoint.POINTS_STORED)
    return Stored(output, pointer, now() + timedelta(seconds=put_off.delay))


async def commit_block(stores: Stores, work: Work, stored: Stored) -> None:
    """Make a stored block count, once.

    Raises:
        StaleBlock: the block was claimed again or canceled meanwhile; nothing counts.
    """
    await _require_ours(stores, work.block)
    event, stale = await stores.database.transaction(
        lambda session: _make_true(session, work, stored)
    )
    await reach(Failpoint.BLOCK_COMMITTED)
    await announce(stores, event)
    try:
        for collection_id, ids in stale.items():
            await stores.vectors.delete(collection_id, ids)
    except Exception as error:  # points without a document cannot be found
        logger.warning("Block %s: stale points stay: %s", work.block.id, type(error).__name__)


async def _require_ours(stores: Stores, block: Block) -> None:
    """Take a full lease for what follows; raises StaleBlock."""
    if not await renew_block(block, lease_seconds=stores.settings.engine.lease_seconds):
        raise _stale(block)


async def release(
    stores: Stores, work: Work, *, error: str, category: ErrorCategory, delay: float
) -> None:
    """Give a block back after a failure that may pass; its next attempt is due after `delay` s."""
    told = {
        "blockId": work.block.id,
        "attempts": work.block.attempts,
        "category": str(category),
        "message": error,
    }

    async def give_back(session: Session) -> Event | None:
        due = now() + timedelta(seconds=delay)
        if not await release_block(session, work.block, not_before=due, error=error):
            return None
        return await change_batch(
            session,
            {"_id": work.batch.id, "status": str(BatchStatus.PROCESSING)},
            {},
            EventType.BLOCK_RETRIED,
            told,
        )

    event = await stores.database.transaction(give_back)
    if event is not None:
        await reach(Failpoint.BLOCK_RELEASED)
        await announce(stores, event)


async def fail_block(
    stores: Stores,
    work: Work,
    *,
    category: ErrorCategory,
    error: str,
    hint: str,
    transient: bool = False,
) -> None:
    """End a block that cannot be done: its rows count as failed, its readers are canceled."""
    rows = await _rows_of(work.block)
    counts = BlockCounts(rows_in=rows, rows_failed=rows)
    record = RowError(
        id=new_id("err"),
        namespace_id=work.batch.namespace_id,
        batch_id=work.batch.id,
        collection_id=work.collection.id,
        block_id=work.block.id,
        category=category,
        extractor=work.collection.extractor.label,
        message=error,
        hint=hint,
        rows=rows,
        attempts=work.block.attempts_in_all,
        transient=transient,
    )
    failure = Failure(
        extractor=record.extractor, category=category, message=error, hint=hint, rows=rows
    )

    async def end(session: Session) -> Event | None:
        values = {
            "counts": counts.model_dump(),
            "error_message": error,
            "failure": failure.model_dump(),
        }
        if not await finish_block(session, work.block, BlockStatus.FAILED, values):
            return None
        await RowError.get_pymongo_collection().insert_one(record.to_mongo(), session=session)
        reason = f"Block {work.block.id}, which this one reads, failed."
        canceled = await cancel_readers(session, work.block, reason)
        event = await _count(
            session, work, counts, EventType.BLOCK_FAILED, closed=1 + canceled, message=error
        )
        last = len(work.batch.tiers) if canceled else work.block.tier + 1
        return event and await _complete_tiers(session, work, event, range(work.block.tier, last))

    event = await stores.database.transaction(end)
    if event is not None:
        await reach(Failpoint.BLOCK_FAILED)
        await announce(stores, event)


async def announce(stores: Stores, event: Event) -> None:
    """Ring everyone who follows the batch, and the workers when they may have to end it."""
    await stores.bus.announce(event.namespace_id, event.batch_id, event.sequence)
    if event.blocks_open == 0 or Counts.model_validate(event.counts).mostly_failed:
        await stores.bus.ring_workers(event.batch_id)


async def _rows_of(block: Block) -> int:
    """Return how many rows a block has, or would have had from what it reads."""
    if block.rows is not None:
        return block.rows
    upstream = Block.get_pymongo_collection().find(
        {"_id": {"$in": block.reads}}, {"output.rows": 1}
    )
    return sum([(row.get("output") or {}).get("rows", 0) async for row in upstream])


async def _store_artifact(stores: Stores, work: Work, output: Output) -> Pointer:
    key = output_key(
        work.batch.namespace_id,
        work.batch.id,
        work.block.submission,
        block_id=work.block.id,
        epoch=work.block.epoch,
    )
    with tempfile.NamedTemporaryFile(prefix="strata-", suffix=".parquet") as file:
        path = Path(file.name)
        await asyncio.to_thread(write_parquet, output.table, path)
        sha256 = await asyncio.to_thread(sha256_of, path)
        await stores.artifacts.create(key, path, sha256=sha256)
        size = file.seek(0, 2)
    return Pointer(key=key, sha256=sha256, rows=output.table.num_rows, bytes=size)


async def _store_points(
    stores: Stores, work: Work, output: Output, progress: Callable[[], None]
) -> None:
    await stores.vectors.ensure(work.collection)
    vectors = {
        vector.name: read_column(vector, output.table.column(vector.name))
        for vector in work.collection.vectors
    }
    with span_within("qdrant.upsert", points=len(output.ids)):
        await stores.vectors.upsert(
            work.collection.id,
            output.ids,
            [point_payload(work.collection, document) for document in output.documents],
            vectors,
            block_id=work.block.id,
            epoch=work.block.epoch,
            progress=progress,
        )


async def _make_true(
    session: Session, work: Work, stored: Stored
) -> tuple[Event, dict[str, list[str]]]:
    output = stored.output
    values = {
        "output": stored.pointer.model_dump(),
        "counts": output.counts.model_dump(),
        "failure": None if output.failure is None else output.failure.model_dump(),
    }
    if not await finish_block(session, work.block, BlockStatus.DONE, values):
        raise _stale(work.block)
    added = await _replace_documents(session, output.documents)
    stale = await remove_stale(session, work, output)
    if output.errors:
        await RowError.get_pymongo_collection().insert_many(
            [error.to_mongo() for error in output.errors], session=session
        )
    await _touch_collection(session, work, output, added)
    if output.put_off:
        await put_off_rows(
            session,
            work.block,
            output.put_off,
            not_before=stored.retry_at,
            held=await is_on_hold(session, work.batch.id),
        )
    await wake_readers(session, work.block)
    opened = 1 if output.put_off else 0
    event = await _count(
        session, work, output.counts, EventType.BLOCK_DONE, closed=1, opened=opened
    )
    if event is None:
        raise _stale(work.block)
    return await _complete_tiers(session, work, event, [work.block.tier]), stale


async def _touch_collection(session: Session, work: Work, output: Output, added: int) -> None:
    """Count the documents, give the collection another signature and say so in the log."""
    row = await Collection.get_pymongo_collection().find_one_and_update(
        {"_id": work.collection.id, "lifecycle": {"$ne": str(Lifecycle.DELETING)}},
        {"$inc": {"document_count": added, "revision": 1}},
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    if row is None:  # deleted meanwhile: its documents must not come back
        raise _stale(work.block)
    if not output.documents:
        return
    written = {"documentsWritten": len(output.documents), "documentsNew": added}
    collection = Collection.model_validate(row)
    await _notify(session, work, collection, EventType.DOCUMENTS_WRITTEN, written)
    await _observe(session, work, collection, output)


async def _observe(session: Session, work: Work, collection: Collection, output: Output) -> None:
    """Add what no document had before, and say so.

    The collection was written to in this transaction: of two blocks that see the same for the first
    time one has to begin again, and then finds it there.
    """
    new = unseen(collection.observed, output.sightings, now())
    if not new:
        return
    await Collection.get_pymongo_collection().update_one(
        {"_id": collection.id},
        {"$push": {"observed": {"$each": [one.model_dump() for one in new]}}},
        session=session,
    )
    fields = [{"path": one.path, "type": str(one.type)} for one in new]
    await _notify(session, work, collection, EventType.SCHEMA_CHANGED, {"fields": fields})


async def _notify(
    session: Session, work: Work, collection: Collection, kind: EventType, data: dict[str, Any]
) -> None:
    """Write into the log what a block did to its collection."""
    await append_notice(
        session,
        work.batch.namespace_id,
        kind,
        (SubjectType.COLLECTION, collection.id),
        data={
            "batchId": work.batch.id,
            "blockId": work.block.id,
            **data,
            "indexSignature": collection.index_signature,
        },
        bucket_id=work.batch.bucket_id,
        collection_ids=[collection.id],
        trace=work.batch.trace,
    )


async def _replace_documents(session: Session, documents: list[dict[str, Any]]) -> int:
    """Write documents over their earlier selves; return how many are new.

    Most blocks write only new ones, and inserting those costs the server half of replacing them.
    """
    if not documents:
        return 0
    stored = Document.get_pymongo_collection()
    ids = [row["_id"] for row in documents]
    found = stored.find({"_id": {"$in": ids}}, {"_id": 1}, session=session)
    earlier = {row["_id"] async for row in found}
    new = [row for row in documents if row["_id"] not in earlier]
    if new:
        await stored.insert_many(new, ordered=False, session=session)
    if earlier:
        again = [ReplaceOne({"_id": r["_id"]}, r) for r in documents if r["_id"] in earlier]
        await stored.bulk_write(again, ordered=False, session=session)
    return len(new)


async def _count(
    session: Session,
    work: Work,
    counts: BlockCounts,
    kind: EventType,
    *,
    closed: int,
    opened: int = 0,
    message: str | None = None,
) -> Event | None:
    # The rows of the first tier were counted in when the batch was submitted.
    added = counts.model_dump()
    if work.block.tier == 0:
        added["rows_in"] = 0
        added["rows_missing_input"] = 0
    increments = {f"counts.{name}": value for name, value in added.items() if value}
    data: dict[str, Any] = {
        "blockId": work.block.id,
        "collectionId": work.collection.id,
        "tier": work.block.tier,
        "documentsWritten": counts.documents_written,
        "rowsFailed": counts.rows_failed,
        "rowsIn": counts.rows_in,
        "extractor": work.label,
        "seconds": {stage: round(spent, 4) for stage, spent in work.stages.items()},
    }
    if message is not None:
        data["message"] = message
    return await change_batch(
        session,
        {"_id": work.batch.id, "status": str(BatchStatus.PROCESSING)},
        {"$inc": {"blocks_open": opened - closed, "blocks_total": opened, **increments}},
        kind,
        data,
    )


async def _complete_tiers(
    session: Session, work: Work, event: Event, tiers: Iterable[int]
) -> Event:
    """Announce the tiers that have just ended; return the last event.

    The batch was changed before: whoever ends another block at this moment conflicts and looks
    again.
    """
    for tier in tiers:
        if not await is_tier_open(session, work.block, tier):
            event = await complete_tier(session, work.batch.id, tier) or event
    return event


def _stale(block: Block) -> StaleBlock:
    return StaleBlock(f"Block {block.id} is no longer ours under epoch {block.epoch}.")
