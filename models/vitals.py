"""How a batch is doing: sums over its blocks, its row errors and the newest of its events.

Each read is one call and bounded: by the batch's blocks, or by a fixed number of the newest rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from models.block import Block
from models.errors import ErrorCategory
from models.events import Event, EventType
from models.row_error import RowError
from models.scope import Scope
from models.states import BLOCK_LIVE, BlockStatus

_ERRORS_READ: Final = 20_000  # the newest; what is older is not counted by cause
_EVENTS_READ: Final = 200
_CAUSES: Final = 20
_SAMPLE: Final = 10  # failed rows, of each cause and in all


@dataclass(frozen=True)
class BlockGroup:
    """The blocks of one collection in one state; times are the server's."""

    collection_id: str
    status: BlockStatus
    blocks: int
    tier: int = 0
    rows: int = 0  # as far as they are known
    unsized: int = 0  # blocks whose rows are not
    rows_failed: int = 0
    rows_skipped: int = 0
    rows_succeeded: int = 0
    attempts: int = 0  # the most of one block
    lost: int = 0  # attempts that ended without a word, of all blocks
    lapsed: int = 0  # leases that are over
    deferred: int = 0  # not due yet
    due_at: datetime | None = None  # the first of them
    due_last: datetime | None = None
    lease_until: datetime | None = None  # the first to end
    began_first: datetime | None = None
    began_last: datetime | None = None
    finished_at: datetime | None = None  # the last
    busy_seconds: float = 0.0
    running_seconds: float = 0.0  # of those that somebody works on, so far
    extractor: str | None = None  # of what failed
    message: str | None = None  # one of theirs

    @property
    def live(self) -> bool:
        """Whether they have not ended."""
        return self.status in BLOCK_LIVE


@dataclass(frozen=True)
class ErrorCause:
    """Row errors of one collection and category."""

    collection_id: str
    extractor: str
    category: ErrorCategory
    transient: bool
    missing_input: bool
    rows: int
    message: str  # of the newest
    hint: str
    attempts: int
    latest: datetime
    sample: list[str] = field(default_factory=list)  # ids of row errors


@dataclass(frozen=True)
class RetryCause:
    """Attempts at blocks that were given back for a later one, of one category."""

    category: ErrorCategory
    attempts: int
    message: str  # of the newest
    latest: datetime


_IF = {
    "leased": {"$eq": ["$status", str(BlockStatus.LEASED)]},
    "ready": {"$eq": ["$status", str(BlockStatus.READY)]},
}
_LAPSED = {"$and": [_IF["leased"], {"$lt": ["$lease_until", "$$NOW"]}]}
_DEFERRED = {"$and": [_IF["ready"], {"$gt": ["$not_before", "$$NOW"]}]}
_AT_WORK = {"$and": [_IF["leased"], {"$gte": ["$lease_until", "$$NOW"]}]}
_SPENT = {"$subtract": ["$finished_at", "$started_at"]}  # milliseconds; null while it runs
_RUNNING = {"$subtract": ["$$NOW", "$started_at"]}
_SUMS: Final[Mapping[str, Any]] = {
    "blocks": {"$sum": 1},
    "tier": {"$min": "$tier"},
    "rows": {"$sum": "$rows"},
    "unsized": {"$sum": {"$cond": [{"$isNumber": "$rows"}, 0, 1]}},
    "rows_failed": {"$sum": "$counts.rows_failed"},
    "rows_skipped": {"$sum": "$counts.rows_skipped"},
    "rows_succeeded": {"$sum": "$counts.rows_succeeded"},
    "attempts": {"$max": "$attempts"},
    "lost": {"$sum": "$lost"},
    "lapsed": {"$sum": {"$cond": [_LAPSED, 1, 0]}},
    "deferred": {"$sum": {"$cond": [_DEFERRED, 1, 0]}},
    "due_at": {"$min": {"$cond": [_DEFERRED, "$not_before", None]}},
    "due_last": {"$max": {"$cond": [_DEFERRED, "$not_before", None]}},
    "lease_until": {"$min": {"$cond": [_IF["leased"], "$lease_until", None]}},
    "began_first": {"$min": "$started_at"},
    "began_last": {"$max": "$started_at"},
    "finished_at": {"$max": "$finished_at"},
    "busy_seconds": {"$sum": {"$divide": [_SPENT, 1000]}},
    "running_seconds": {"$sum": {"$cond": [_AT_WORK, {"$divide": [_RUNNING, 1000]}, 0]}},
    "extractor": {"$max": "$failure.extractor"},
    "message": {"$max": "$error_message"},
}


async def read_block_groups(
    scope: Scope, submissions: Sequence[tuple[str, str]]
) -> dict[str, list[BlockGroup]]:
    """Return the blocks of batches, named with their submissions, by collection and state."""
    wanted = [{"batch_id": one, "submission": submission} for one, submission in submissions]
    key = {name: f"${name}" for name in ("batch_id", "collection_id", "status")}
    rows = await scope.aggregate(Block, {"$or": wanted}, [{"$group": {"_id": key, **_SUMS}}])
    found: dict[str, list[BlockGroup]] = {batch_id: [] for batch_id, _ in submissions}
    for row in sorted(rows, key=lambda row: (row["tier"], *row["_id"].values())):
        key = row.pop("_id")
        status = BlockStatus(key["status"])
        group = BlockGroup(key["collection_id"], status, **row)
        found[key["batch_id"]].append(group)
    return found


async def read_error_causes(scope: Scope, batch_id: str) -> list[ErrorCause]:
    """Return what the newest failed rows of a batch failed of, the most frequent first."""
    names = ("collection_id", "extractor", "category", "transient", "missing_input")
    rows = await scope.aggregate(
        RowError,
        {"batch_id": batch_id},
        [
            {"$sort": {"_id": -1}},
            {"$limit": _ERRORS_READ},
            {
                "$group": {
                    "_id": {name: f"${name}" for name in names},
                    "rows": {"$sum": "$rows"},
                    "message": {"$first": "$message"},
                    "hint": {"$first": "$hint"},
                    "attempts": {"$max": "$attempts"},
                    "latest": {"$max": "$created_at"},
                    "sample": {"$firstN": {"input": "$_id", "n": _SAMPLE}},
                }
            },
            {"$sort": {"rows": -1, "_id": 1}},
            {"$limit": _CAUSES},
        ],
    )
    return [_cause(row) for row in rows]


def _cause(row: dict[str, Any]) -> ErrorCause:
    key = row.pop("_id")
    key["category"] = ErrorCategory(key["category"])
    # Neither was written by earlier versions.
    usual = {"transient": False, "missing_input": False}
    return ErrorCause(**{**usual, **key, **row})


async def read_retry_causes(scope: Scope, batch_id: str) -> list[RetryCause]:
    """Return why blocks were put off, by category, among the newest events of a batch."""
    events = await scope.find_sorted(
        Event, {"batch_id": batch_id}, sort=[("sequence", -1)], limit=_EVENTS_READ
    )
    found: dict[ErrorCategory, RetryCause] = {}
    for event in events:
        if event.type != EventType.BLOCK_RETRIED or "category" not in event.data:
            continue
        category = ErrorCategory(event.data["category"])
        newer = found.get(category)
        message, latest = event.data["message"], event.at
        if newer is not None:
            message, latest = newer.message, newer.latest
        attempts = 1 if newer is None else newer.attempts + 1
        found[category] = RetryCause(category, attempts, message, latest)
    return list(found.values())


def sample_of(causes: Sequence[ErrorCause]) -> list[str]:
    """Return the ids of at most ten errors, in turn of every cause."""
    turns = range(_SAMPLE)
    chosen = [one.sample[turn] for turn in turns for one in causes if turn < len(one.sample)]
    return chosen[:_SAMPLE]
