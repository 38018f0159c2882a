"""Adds the log up into hourly rollups, and answers questions from them."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from pymongo.errors import PyMongoError

from models.batch import Batch
from models.database import Session
from models.errors import InvalidInput
from models.events import Entry, Event, EventType
from models.rollup import Rollup, RollupKey, Sums, add_up, read_behind, read_unrolled
from models.scope import Scope
from models.states import FINAL
from models.stores import Stores

logger = logging.getLogger(__name__)
MAX_DAYS: Final = 366
MAX_ROWS: Final = 1000
_BLOCKS: Final = {
    EventType.BLOCK_DONE: "blocks_done",
    EventType.BLOCK_FAILED: "blocks_failed",
    EventType.BLOCK_RETRIED: "blocks_retried",
}
_TOTALS: Final = {
    "rowsIn": "rows_in",
    "rowsFailed": "rows_failed",
    "documentsWritten": "documents_written",
}
_BATCHES: Final = {
    EventType.BATCH_QUEUED: "batches_queued",
    EventType.BATCH_COMPLETED: "batches_completed",
    EventType.BATCH_COMPLETED_WITH_ERRORS: "batches_completed_with_errors",
    EventType.BATCH_FAILED: "batches_failed",
    EventType.BATCH_CANCELED: "batches_canceled",
}


class Interval(StrEnum):
    """How long a time bucket is."""

    HOUR = "HOUR"
    DAY = "DAY"
    ALL = "ALL"


class Dimension(StrEnum):
    """What rows are told apart by."""

    BUCKET = "BUCKET"
    COLLECTION = "COLLECTION"
    EXTRACTOR = "EXTRACTOR"


@dataclass(frozen=True)
class Question:
    """What is asked of the rollups; times in UTC, `until` is not included."""

    since: datetime
    until: datetime
    interval: Interval = Interval.ALL
    by: frozenset[Dimension] = frozenset()
    match: Mapping[str, str] = field(default_factory=dict)  # bucket_id, collection_id, extractor

    @property
    def of_blocks(self) -> bool:
        """Whether batches as such have no place in the answer."""
        named = {"collection_id", "extractor"} & self.match.keys()
        return bool(named or self.by & {Dimension.COLLECTION, Dimension.EXTRACTOR})


@dataclass
class Row:
    """One row of an answer: sums, and durations by name, such as `queue` or `extract`."""

    time: datetime
    bucket_id: str | None = None
    collection_id: str | None = None
    extractor: str | None = None
    counts: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    durations: dict[str, "Durations"] = field(default_factory=dict)


@dataclass
class Durations:
    """Durations of one kind."""

    count: float = 0
    seconds: float = 0
    buckets: dict[str, float] = field(default_factory=lambda: defaultdict(float))


async def roll_up_all(stores: Stores) -> None:
    """Roll every namespace up to the end of its log."""
    for namespace_id in await read_behind():
        try:
            while await roll_up(stores, namespace_id):
                pass
        except PyMongoError as error:
            logger.warning("Rollup of %s: %s", namespace_id, type(error).__name__)


async def roll_up(stores: Stores, namespace_id: str) -> int:
    """Add up the next entries of a namespace's log; return how many there were."""

    async def work(session: Session) -> int:
        entries = await read_unrolled(session, namespace_id)
        if entries:
            sums = summarise(entries, await _batches(session, entries))
            until = entries[-1].position
            await add_up(session, namespace_id, sums.items(), until=until)
        return len(entries)

    return await stores.database.transaction(work)


async def _batches(session: Session, entries: Iterable[Entry]) -> dict[str, Batch]:
    """Return the batches whose times are needed, as far as they were not deleted."""
    wanted = [
        entry.batch_id
        for entry in entries
        if isinstance(entry, Event)
        and (entry.type is EventType.BATCH_PROCESSING or entry.status in FINAL)
    ]
    rows = Batch.get_pymongo_collection().find({"_id": {"$in": wanted}}, session=session)
    return {row["_id"]: Batch.model_validate(row) async for row in rows}


def summarise(entries: Iterable[Entry], batches: Mapping[str, Batch]) -> dict[RollupKey, Sums]:
    """Return what entries add to which rollups."""
    found: dict[RollupKey, Sums] = defaultdict(Sums)
    for entry in entries:
        if not isinstance(entry, Event):
            continue
        hour = entry.at.replace(minute=0, second=0, microsecond=0)
        if entry.type in _BLOCKS:
            _add_block(found, hour, entry)
        elif entry.type in _BATCHES or entry.type is EventType.BATCH_PROCESSING:
            sums = found[RollupKey(hour, entry.bucket_id)]
            _add_batch(sums, entry, batches.get(entry.batch_id))
    return dict(found)


def _add_block(found: dict[RollupKey, Sums], hour: datetime, event: Event) -> None:
    data = event.data
    key = RollupKey(hour, event.bucket_id, data.get("collectionId"), data.get("extractor"))
    sums = found[key]
    sums.counts[_BLOCKS[event.type]] += 1
    for name, counted in _TOTALS.items():
        sums.counts[counted] += data.get(name, 0)
    stages: dict[str, float] = data.get("seconds") or {}
    for stage, seconds in stages.items():
        sums.timings[stage].append(seconds)
    if stages:
        sums.timings["block"].append(sum(stages.values()))


def _add_batch(sums: Sums, event: Event, batch: Batch | None) -> None:
    if event.type in _BATCHES:
        sums.counts[_BATCHES[event.type]] += 1
    if batch is None:
        return
    if event.type is EventType.BATCH_PROCESSING and batch.submitted_at is not None:
        sums.timings["queue"].append((event.at - batch.submitted_at).total_seconds())
    elif event.status in FINAL and batch.started_at is not None:
        sums.timings["run"].append((event.at - batch.started_at).total_seconds())


async def answer(scope: Scope, question: Question) -> list[Row]:
    """Answer from the rollups, in the order of time.

    Raises:
        InvalidInput: the times are the wrong way round or too far apart, or there is too much.
    """
    if question.until <= question.since:
        raise InvalidInput("`until` must be later than `since`.", path=("until",))
    if question.until - question.since > timedelta(days=MAX_DAYS):
        raise InvalidInput(f"At most {MAX_DAYS} days at once.", path=("since",))
    hours = {"$gte": question.since, "$lt": question.until}
    match: dict[str, Any] = {**question.match, "hour": hours}
    if question.of_blocks:
        match["collection_id"] = question.match.get("collection_id", {"$ne": None})
    rows: dict[tuple[Any, ...], Row] = {}
    for rollup in await scope.all(Rollup, match):
        row = _row_of(question, rollup)
        place = (row.time, row.bucket_id, row.collection_id, row.extractor)
        _merge(rows.setdefault(place, row), rollup)
        if len(rows) > MAX_ROWS:
            raise InvalidInput(
                f"More than {MAX_ROWS} rows.",
                path=("interval",),
                hint="Ask for less time, a longer interval or fewer dimensions.",
            )
    return sorted(rows.values(), key=lambda row: (row.time, row.collection_id or ""))


def _row_of(question: Question, rollup: Rollup) -> Row:
    time = {
        Interval.HOUR: rollup.hour,
        Interval.DAY: rollup.hour.replace(hour=0),
        Interval.ALL: question.since,
    }[question.interval]
    by = question.by
    return Row(
        time,
        rollup.bucket_id if Dimension.BUCKET in by else None,
        rollup.collection_id if Dimension.COLLECTION in by else None,
        rollup.extractor if Dimension.EXTRACTOR in by else None,
    )


def _merge(row: Row, rollup: Rollup) -> None:
    for name, value in rollup.counts.items():
        row.counts[name] += value
    for name, timing in rollup.timings.items():
        durations = row.durations.setdefault(name, Durations())
        durations.count += timing["count"]
        durations.seconds += timing["seconds"]
        for bucket, count in timing["buckets"].items():
            durations.buckets[bucket] += count
