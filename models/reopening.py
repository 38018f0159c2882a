"""What a retry does to the blocks of an ended batch; what is to be done is decided elsewhere.

All of it is one transaction with the batch's own change. Every reopened block gets another epoch,
so an attempt that is still under way somewhere cannot commit.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from models.block import INHERITED, Block, BlockCounts
from models.ids import new_id
from models.row_error import RowError
from models.states import BlockStatus
from models.stored import LONG_AGO

_AFRESH: Final[Mapping[str, Any]] = {
    "attempts": 0,
    "tries": 0,
    "lost": 0,
    "isolation": None,
    "failure": None,
    "owner": None,
    "held": False,
    "not_before": LONG_AGO,
    "lease_until": LONG_AGO,
    "output": None,
    "counts": BlockCounts().model_dump(),
    "error_message": None,
    "started_at": None,
    "finished_at": None,
}


async def read_blocks(session: AsyncClientSession, batch_id: str, submission: str) -> list[Block]:
    """Return every block of a submission in the order of work."""
    cursor = Block.get_pymongo_collection().find(
        {"batch_id": batch_id, "submission": submission},
        sort=[("tier", 1), ("ordinal", 1)],
        session=session,
    )
    return [Block.model_validate(row) async for row in cursor]


async def read_failures(session: AsyncClientSession, batch_id: str) -> list[RowError]:
    """Return what is on record of the rows and blocks that failed."""
    cursor = RowError.get_pymongo_collection().find(
        {"batch_id": batch_id, "block_id": {"$ne": ""}, "missing_input": {"$ne": True}},
        session=session,
    )
    return [RowError.model_validate(row) async for row in cursor]


def make_rest(block: Block, sources: Sequence[str]) -> Block:
    """Return a block of those rows of a block that failed, to be tried again."""
    return Block(
        id=new_id("blk"),
        **block.model_dump(include=INHERITED),
        rows=len(sources),
        status=BlockStatus.READY,
        only=list(sources),
        earlier=block.attempts_in_all,
    )


def make_reader(block: Block, reads: Sequence[Block]) -> Block:
    """Return a block that does with other blocks what `block` did with those that it read."""
    ids = [one.id for one in reads]
    values = block.model_dump(include=INHERITED - {"reads"})
    return Block(id=new_id("blk"), **values, reads=ids, waits_for=ids, status=BlockStatus.WAITING)


async def reopen_blocks(session: AsyncClientSession, blocks: Iterable[Block]) -> None:
    """Begin blocks afresh, under another epoch; `reads` and `waits_for` are those given."""
    changes = [
        UpdateOne(
            {"_id": block.id},
            {
                "$set": {
                    **_AFRESH,
                    "status": str(BlockStatus.WAITING if block.waits_for else BlockStatus.READY),
                    "reads": block.reads,
                    "waits_for": block.waits_for,
                    "rows": block.rows if block.input or block.only else None,
                    "earlier": block.attempts_in_all,
                },
                "$inc": {"epoch": 1},
            },
        )
        for block in blocks
    ]
    if changes:
        await Block.get_pymongo_collection().bulk_write(changes, ordered=False, session=session)


async def take_rows_out(session: AsyncClientSession, taken: Iterable[tuple[Block, int]]) -> None:
    """Let done blocks forget as many of their failed rows as have got a block of their own."""
    changes = []
    for block, rows in taken:
        left = block.counts.rows_failed - rows
        failure = block.failure and block.failure.model_copy(
            update={"rows": min(block.failure.rows, left)}
        )
        changes.append(
            UpdateOne(
                {"_id": block.id},
                {
                    "$inc": {"counts.rows_in": -rows, "counts.rows_failed": -rows},
                    "$set": {"failure": failure.model_dump() if failure and left else None},
                },
            )
        )
    if changes:
        await Block.get_pymongo_collection().bulk_write(changes, ordered=False, session=session)


async def forget_errors(
    session: AsyncClientSession, *, blocks: Sequence[str], errors: Sequence[str]
) -> None:
    """Delete what is on record of blocks that are begun afresh, and of single rows."""
    await RowError.get_pymongo_collection().delete_many(
        {"$or": [{"block_id": {"$in": list(blocks)}}, {"_id": {"$in": list(errors)}}]},
        session=session,
    )
