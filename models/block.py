"""Block: a slice of one collection's rows in one batch: the unit of work, lease, retry and commit.

`epoch` grows with each claim and fences every later write; `attempts` grows before the work starts,
so a row that kills its process is counted. Claims and leases use the server's clock.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from pymongo import IndexModel, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from models.errors import ErrorCategory
from models.ids import new_id
from models.states import BLOCK_LIVE, BlockStatus, block_origins
from models.stored import LONG_AGO, Namespaced, now, server_time_in

_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9]+")
INHERITED = {
    "namespace_id", "batch_id", "submission", "collection_id", "tier", "ordinal", "input", "reads",
}  # fmt: skip


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Slice(_Part):
    """One row group of a Parquet artifact."""

    key: str
    sha256: str
    row_group: int


class Pointer(_Part):
    """A committed artifact."""

    key: str
    sha256: str
    rows: int
    bytes: int


class Fault(_Part):
    """A stretch of a block's rows that failed as a whole; `stop` is not in it."""

    start: int
    stop: int
    category: ErrorCategory
    message: str
    hint: str = ""


class Isolation(_Part):
    """A search for the rows that fail whatever they are extracted with.

    `running` is written before a stretch is run: when its process and ours die of it, the next
    claim finds the suspect here. Each run allows one claim more.
    """

    faults: list[Fault] = []
    running: tuple[int, int] | None = None
    runs: int = 0


class Failure(_Part):
    """What most of the failed rows of a block failed of."""

    extractor: str
    category: ErrorCategory
    message: str
    hint: str = ""
    rows: int

    @property
    def cause(self) -> tuple[str, str, str]:
        """Equal for failures of one cause: numbers and quoted values in a message may differ."""
        return self.extractor, str(self.category), _VALUES.sub("#", self.message)


class BlockCounts(BaseModel):
    """What became of a block's rows."""

    rows_in: int = 0
    rows_filtered: int = 0
    rows_missing_input: int = 0
    rows_failed: int = 0
    rows_skipped: int = 0
    rows_succeeded: int = 0
    rows_reused: int = 0  # those of them that were not computed again
    documents_written: int = 0


class Block(Namespaced):
    """One unit of work."""

    batch_id: str
    submission: str
    collection_id: str
    tier: int
    ordinal: int
    rows: int | None = None  # None until the blocks that it reads are done
    status: BlockStatus
    input: Slice | None = None  # first tier: rows of the manifest
    reads: list[str] = []  # later tiers: the blocks whose documents are its rows
    waits_for: list[str] = []  # those of them that are not done
    only: list[str] = []  # the source ids of its rows, when it has not all that it reads
    tries: int = 0  # earlier ones of its rows, in the block that they were put off from
    earlier: int = 0  # attempts before a retry of the batch reopened it
    isolation: Isolation | None = None
    failure: Failure | None = None
    held: bool = False  # not to be claimed: its batch is on hold
    epoch: int = 0
    attempts: int = 0
    lost: int = 0  # those of them that ended without a word: the lease ran out
    owner: str | None = None
    not_before: datetime = LONG_AGO
    lease_until: datetime = LONG_AGO
    output: Pointer | None = None
    counts: BlockCounts = BlockCounts()
    error_message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def attempts_in_all(self) -> int:
        """How often its rows were tried, here and before."""
        return self.earlier + self.tries + self.attempts

    class Settings:
        """Where it is stored and how it is found."""

        name = "blocks"
        indexes: ClassVar = [
            IndexModel(
                [("batch_id", 1), ("submission", 1), ("tier", 1), ("ordinal", 1)], name="order"
            ),
            # Claims in the order of work, without a look at the blocks that are done.
            IndexModel(
                [
                    ("batch_id", 1),
                    ("submission", 1),
                    ("status", 1),
                    ("tier", 1),
                    ("ordinal", 1),
                ],
                name="claim",
            ),
            IndexModel([("batch_id", 1), ("waits_for", 1)], name="waits_for"),
            IndexModel([("collection_id", 1), ("status", 1), ("_id", -1)], name="latest"),
            IndexModel(
                [("namespace_id", 1), ("lease_until", 1)],
                name="in_work",
                partialFilterExpression={"status": str(BlockStatus.LEASED)},
            ),
        ]


async def insert_blocks(blocks: Sequence[Block]) -> None:
    """Store the blocks of a submit attempt; they count once the batch names the attempt."""
    if blocks:
        await Block.get_pymongo_collection().insert_many([block.to_mongo() for block in blocks])


async def claim_block(
    batch_id: str,
    submission: str,
    *,
    owner: str,
    lease_seconds: float,
    max_attempts: int,
    session: AsyncClientSession | None = None,
) -> Block | None:
    """Take a block that is READY and due, or whose lease ran out; lowest tier first, none held.

    A block whose bad rows are searched for may be claimed once more for each run of the search.
    """
    row = await Block.get_pymongo_collection().find_one_and_update(
        {
            "batch_id": batch_id,
            "submission": submission,
            "held": {"$ne": True},
            "$expr": {"$lt": ["$attempts", _claims(max_attempts)]},
            "$or": [
                {"status": str(BlockStatus.READY), "$expr": {"$lte": ["$not_before", "$$NOW"]}},
                {"status": str(BlockStatus.LEASED), "$expr": {"$lt": ["$lease_until", "$$NOW"]}},
            ],
        },
        [
            {
                "$set": {
                    "status": str(BlockStatus.LEASED),
                    "owner": owner,
                    "epoch": {"$add": ["$epoch", 1]},
                    "attempts": {"$add": ["$attempts", 1]},
                    "lost": {
                        "$add": [
                            {"$ifNull": ["$lost", 0]},
                            {"$cond": [{"$eq": ["$status", str(BlockStatus.LEASED)]}, 1, 0]},
                        ]
                    },
                    "started_at": "$$NOW",
                    "lease_until": server_time_in(lease_seconds),
                }
            }
        ],
        sort=[("tier", 1), ("ordinal", 1)],
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    return None if row is None else Block.model_validate(row)


def _claims(max_attempts: int) -> dict[str, Any]:
    return {"$add": [max_attempts, {"$ifNull": ["$isolation.runs", 0]}]}


async def note_isolation(block: Block, isolation: Isolation) -> bool:
    """Write down a search's state, if the block is still ours; False when it is another's."""
    result = await Block.get_pymongo_collection().update_one(
        _held(block), {"$set": {"isolation": isolation.model_dump()}}
    )
    return result.matched_count == 1


async def put_off_rows(
    session: AsyncClientSession,
    block: Block,
    sources: Sequence[str],
    *,
    not_before: datetime,
    held: bool,
) -> None:
    """Make a block of those rows of one that are to be tried again; its readers wait for both."""
    rest = Block(
        id=new_id("blk"),
        **block.model_dump(include=INHERITED),
        rows=len(sources),
        status=BlockStatus.READY,
        only=list(sources),
        tries=block.tries + block.attempts,
        earlier=block.earlier,
        not_before=not_before,
        held=held,
    )
    blocks = Block.get_pymongo_collection()
    await blocks.insert_one(rest.to_mongo(), session=session)
    await blocks.update_many(
        {
            "batch_id": block.batch_id,
            "submission": block.submission,
            "waits_for": block.id,
            # A canceled reader may be reopened, and then has to read both.
            "status": {"$in": [str(BlockStatus.WAITING), str(BlockStatus.CANCELED)]},
        },
        {"$push": {"reads": rest.id, "waits_for": rest.id}},
        session=session,
    )


async def renew_block(block: Block, *, lease_seconds: float) -> bool:
    """Prolong a lease that we still hold; False when it is another's by now."""
    result = await Block.get_pymongo_collection().update_one(
        _held(block), [{"$set": {"lease_until": server_time_in(lease_seconds)}}]
    )
    return result.matched_count == 1


async def release_block(
    session: AsyncClientSession, block: Block, *, not_before: datetime, error: str
) -> bool:
    """Give a leased block back for a later attempt."""
    result = await Block.get_pymongo_collection().update_one(
        _held(block),
        {
            "$set": {
                "status": str(BlockStatus.READY),
                "not_before": not_before,
                "owner": None,
                "error_message": error,
            }
        },
        session=session,
    )
    return result.matched_count == 1


async def finish_block(
    session: AsyncClientSession, block: Block, to: BlockStatus, values: Mapping[str, Any]
) -> bool:
    """End a leased block, if it is still ours under this epoch."""
    result = await Block.get_pymongo_collection().update_one(
        {**_held(block), "status": {"$in": block_origins(to)}},
        {"$set": {"status": str(to), "owner": None, "finished_at": now(), **values}},
        session=session,
    )
    return result.matched_count == 1


async def wake_readers(session: AsyncClientSession, block: Block) -> None:
    """Tell the blocks that read this one; those that wait for no other become READY."""
    left = {"$setDifference": ["$waits_for", [block.id]]}
    status = {"$cond": [{"$eq": [left, []]}, str(BlockStatus.READY), "$status"]}
    await Block.get_pymongo_collection().update_many(
        {
            "batch_id": block.batch_id,
            "submission": block.submission,
            "waits_for": block.id,
            "status": str(BlockStatus.WAITING),
        },
        [{"$set": {"waits_for": left, "status": status}}],
        session=session,
    )


async def cancel_readers(session: AsyncClientSession, block: Block, reason: str) -> int:
    """Cancel every block that reads this failed one, also through others; return how many."""
    blocks = Block.get_pymongo_collection()
    canceled, frontier = 0, [block.id]
    while frontier:
        found = blocks.find(
            {"batch_id": block.batch_id, "waits_for": {"$in": frontier}, "status": "WAITING"},
            {"_id": 1},
            session=session,
        )
        frontier = [row["_id"] async for row in found]
        if frontier:
            result = await blocks.update_many(
                {"_id": {"$in": frontier}, "status": str(BlockStatus.WAITING)},
                {"$set": {"status": "CANCELED", "error_message": reason, "finished_at": now()}},
                session=session,
            )
            canceled += result.modified_count
    return canceled


async def cancel_blocks(
    session: AsyncClientSession, batch_id: str, *, reason: str | None = None
) -> int:
    """Cancel every live block of a batch and raise its epoch, so that late work cannot commit."""
    why = {} if reason is None else {"error_message": reason}
    result = await Block.get_pymongo_collection().update_many(
        {"batch_id": batch_id, "status": {"$in": sorted(BLOCK_LIVE)}},
        {
            "$set": {"status": str(BlockStatus.CANCELED), "finished_at": now(), **why},
            "$inc": {"epoch": 1},
        },
        session=session,
    )
    return result.modified_count


async def read_exhausted(
    batch_id: str, submission: str, *, max_attempts: int
) -> AsyncIterator[Block]:
    """Yield the blocks that died in their last attempt: lease over, no attempt left."""
    cursor = Block.get_pymongo_collection().find(
        {
            "batch_id": batch_id,
            "submission": submission,
            "status": str(BlockStatus.LEASED),
            "$expr": {
                "$and": [
                    {"$lt": ["$lease_until", "$$NOW"]},
                    {"$gte": ["$attempts", _claims(max_attempts)]},
                ]
            },
        }
    )
    async for row in cursor:
        yield Block.model_validate(row)


async def read_leased(collection_id: str) -> set[str]:
    """Return the blocks of a collection, in any batch, that somebody works on."""
    cursor = Block.get_pymongo_collection().find(
        {"collection_id": collection_id, "status": str(BlockStatus.LEASED)}, {"_id": 1}
    )
    return {row["_id"] async for row in cursor}


async def sum_blocks(batch_id: str, submission: str) -> list[dict[str, Any]]:
    """Return per collection and status: blocks, one's message, and the sums of every count."""
    return (await sum_blocks_of([(batch_id, submission)]))[batch_id]


async def sum_blocks_of(
    submissions: Sequence[tuple[str, str]],
) -> dict[str, list[dict[str, Any]]]:
    """Return the same for many batches and their submissions, by one call."""
    wanted = [{"batch_id": one, "submission": submission} for one, submission in submissions]
    sums = {name: {"$sum": f"$counts.{name}"} for name in BlockCounts.model_fields}
    cursor = await Block.get_pymongo_collection().aggregate(
        [
            {"$match": {"$or": wanted}},
            {
                "$group": {
                    "_id": {
                        "batch_id": "$batch_id",
                        "collection_id": "$collection_id",
                        "status": "$status",
                    },
                    "blocks": {"$sum": 1},
                    "reason": {"$max": "$error_message"},
                    "started_at": {"$min": "$started_at"},
                    "finished_at": {"$max": "$finished_at"},
                    **sums,
                }
            },
        ]
    )
    found: dict[str, list[dict[str, Any]]] = {batch_id: [] for batch_id, _ in submissions}
    async for row in cursor:
        found[row["_id"].pop("batch_id")].append(row)
    return found


async def is_tier_open(session: AsyncClientSession, block: Block, tier: int) -> bool:
    """Tell whether a tier of a block's batch has blocks that have not ended."""
    row = await Block.get_pymongo_collection().find_one(
        {
            "batch_id": block.batch_id,
            "submission": block.submission,
            "status": {"$in": sorted(BLOCK_LIVE)},
            "tier": tier,
        },
        {"_id": 1},
        session=session,
    )
    return row is not None


async def delete_blocks(batch_id: str, submission: str) -> None:
    """Remove the blocks of a submit attempt that came to nothing."""
    await Block.get_pymongo_collection().delete_many(
        {"batch_id": batch_id, "submission": submission}
    )


async def delete_other_blocks(batch_id: str, submission: str) -> None:
    """Remove what other submit attempts left, when this one has won."""
    await Block.get_pymongo_collection().delete_many(
        {"batch_id": batch_id, "submission": {"$ne": submission}}
    )


def _held(block: Block) -> dict[str, Any]:
    return {"_id": block.id, "epoch": block.epoch, "status": str(BlockStatus.LEASED)}
