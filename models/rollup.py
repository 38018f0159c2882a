"""Rollup: what happened in one hour to the batches of a bucket, or to the blocks of a collection.

Sums and histograms are added up from the namespace's log. How far the log was read stands beside
its counter and moves on in the same transaction: every event counts once, whoever adds it.

A histogram's bucket `n` holds values up to 2^(n/4) seconds, so a percentile read from it is at most
19 % too large.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final

from pymongo import ASCENDING, IndexModel, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from models.event_log import EventLog
from models.events import Entry, Event, parse_entry
from models.stored import Namespaced, now

STEPS: Final = 4  # buckets for each doubling
_SHORTEST: Final = 1e-3  # seconds; what is shorter is as good as this
_READ_AT_ONCE: Final = 1000


@dataclass(frozen=True)
class RollupKey:
    """What a rollup is of; a batch's own rollup has neither collection nor extractor."""

    hour: datetime
    bucket_id: str | None
    collection_id: str | None = None
    extractor: str | None = None


@dataclass
class Sums:
    """What is added to one rollup."""

    counts: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    timings: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def increments(self) -> dict[str, float]:
        """Return the update in MongoDB's words."""
        found = {f"counts.{name}": value for name, value in self.counts.items() if value}
        for name, values in self.timings.items():
            found[f"timings.{name}.count"] = len(values)
            found[f"timings.{name}.seconds"] = math.fsum(values)
            for value in values:
                place = f"timings.{name}.buckets.{bucket_of(value)}"
                found[place] = found.get(place, 0) + 1
        return found


class Rollup(Namespaced):
    """One hour of one key."""

    hour: datetime
    bucket_id: str | None = None
    collection_id: str | None = None
    extractor: str | None = None
    counts: dict[str, float] = {}
    timings: dict[str, dict[str, Any]] = {}  # name -> count, seconds, buckets

    class Settings:
        """Where it is stored and how it is found."""

        name = "rollups"
        indexes: ClassVar = [IndexModel([("namespace_id", 1), ("hour", 1)], name="hour")]


def bucket_of(seconds: float) -> int:
    """Return the bucket of a duration."""
    return math.ceil(STEPS * math.log2(max(seconds, _SHORTEST)))


def percentile(buckets: Mapping[str, float], share: float) -> float | None:
    """Return the duration, in seconds, below which `share` (0 to 1) of the values lie."""
    total = sum(buckets.values())
    if not total:
        return None
    seen = 0.0
    for bucket in sorted(int(name) for name in buckets):
        seen += buckets[str(bucket)]
        if seen >= share * total:
            return float(2 ** (bucket / STEPS))
    return None


async def read_behind() -> list[str]:
    """Return the namespaces whose log goes on past what was rolled up."""
    behind = {"$expr": {"$lt": [{"$ifNull": ["$rolled_up", 0]}, "$position"]}}
    rows = EventLog.get_pymongo_collection().find(behind, {"_id": 1})
    return [row["_id"] async for row in rows]


async def read_unrolled(session: AsyncClientSession, namespace_id: str) -> list[Entry]:
    """Return the next entries to be added up; two readers at once conflict in `add_up`."""
    log = await EventLog.get_pymongo_collection().find_one({"_id": namespace_id}, session=session)
    after = 0 if log is None else log.get("rolled_up", 0)
    rows = Event.get_pymongo_collection().find(
        {"namespace_id": namespace_id, "position": {"$gt": after}},
        sort=[("position", ASCENDING)],
        limit=_READ_AT_ONCE,
        session=session,
    )
    return [parse_entry(row) async for row in rows]


async def add_up(
    session: AsyncClientSession,
    namespace_id: str,
    sums: Iterable[tuple[RollupKey, Sums]],
    *,
    until: int,
) -> None:
    """Add to the rollups and note how far the log was read."""
    await EventLog.get_pymongo_collection().update_one(
        {"_id": namespace_id}, {"$set": {"rolled_up": until}}, session=session
    )
    writes = [_write(namespace_id, key, one) for key, one in sums]
    if writes:
        await Rollup.get_pymongo_collection().bulk_write(writes, ordered=False, session=session)


def _write(namespace_id: str, key: RollupKey, sums: Sums) -> UpdateOne:
    place = [f"{key.hour:%Y%m%d%H}", key.bucket_id, key.collection_id, key.extractor]
    named = {**vars(key), "namespace_id": namespace_id, "created_at": now()}
    return UpdateOne(
        {"_id": "/".join([namespace_id, *(part or "-" for part in place)])},
        {"$inc": sums.increments(), "$setOnInsert": named},
        upsert=True,
    )
