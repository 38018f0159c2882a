"""The namespace's whole log: every event and notice at a position from 1, without holes.

Writers of events never meet here, since one counter for all of them would make every commit of a
namespace wait for every other. An entry gets its position after its commit, from whoever places
next; placing is a transaction over the namespace's counter, so positions are given in one order and
a reader who sees one sees all before it. A batch's events keep the order of their sequence.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from pymongo import ASCENDING, IndexModel, ReturnDocument, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from models.events import STATUS_EVENTS, Entry, Event, parse_entry
from models.failpoints import Failpoint, reach
from models.stored import Stored, now

_PLACED_AT_ONCE: Final = 500
_LONG_AGO: Final = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


class EventLog(Stored):
    """How far one namespace's log goes; its id is the namespace's."""

    position: int = 0
    rolled_up: int = 0  # up to which position; see `models.rollup`
    trimmed: int = 0  # up to which position entries may be missing
    removed: int = 0  # up to which position they are
    trim_at: datetime = _LONG_AGO  # when somebody should look for old entries again

    class Settings:
        """Where it is stored."""

        name = "event_logs"
        indexes: ClassVar = [IndexModel([("trim_at", 1)], name="trim")]


async def read_unplaced_namespaces() -> list[str]:
    """Return the namespaces of which entries wait for their position."""
    return list(await Event.get_pymongo_collection().distinct("namespace_id", {"position": 0}))


async def count_unplaced() -> int:
    """Return how many entries wait for their position."""
    return await Event.get_pymongo_collection().count_documents({"position": 0})


async def open_log(namespace_id: str) -> None:
    """Make a namespace's counter, if it has none: two transactions cannot both insert it."""
    logs = EventLog.get_pymongo_collection()
    if await logs.find_one({"_id": namespace_id}, {"_id": 1}) is None:
        row = EventLog(id=namespace_id).to_mongo()
        await logs.update_one({"_id": namespace_id}, {"$setOnInsert": row}, upsert=True)


async def place_entries(session: AsyncClientSession, namespace_id: str) -> list[Entry]:
    """Give the next entries their positions and return them in that order; none when all have one.

    The namespace's log must be open. Two callers at once conflict on its counter, and the second
    starts again with what is left.
    """
    events = Event.get_pymongo_collection()
    waiting = {"namespace_id": namespace_id, "position": 0}
    found = events.find(waiting, sort=[("_id", ASCENDING)], limit=_PLACED_AT_ONCE, session=session)
    rows = [row async for row in found]
    if not rows:
        return []
    if len(rows) == _PLACED_AT_ONCE:
        rows = await _with_earlier(session, rows)
    rows = _in_order(rows)
    counter = await EventLog.get_pymongo_collection().find_one_and_update(
        {"_id": namespace_id},
        {"$inc": {"position": len(rows)}},
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    assert counter is not None  # open_log came before
    first = counter["position"] - len(rows) + 1
    for position, row in enumerate(rows, start=first):
        row["position"] = position
    await events.bulk_write(
        [UpdateOne({"_id": row["_id"]}, {"$set": {"position": row["position"]}}) for row in rows],
        session=session,
    )
    return [parse_entry(row) for row in rows]


def _in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows by id, but those of one batch by sequence: clocks of two writers may differ."""
    ordered = list(rows)
    places: dict[str, list[int]] = {}
    for place, row in enumerate(ordered):
        if "batch_id" in row:
            places.setdefault(row["batch_id"], []).append(place)
    for taken in places.values():
        by_sequence = sorted((ordered[place] for place in taken), key=lambda row: row["sequence"])
        for place, row in zip(taken, by_sequence, strict=True):
            ordered[place] = row
    return ordered


async def _with_earlier(
    session: AsyncClientSession, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Add the waiting events of the rows' batches that come before them and did not fit."""
    last: dict[str, int] = {}
    for row in rows:
        if "batch_id" in row:
            last[row["batch_id"]] = max(row["sequence"], last.get(row["batch_id"], 0))
    chosen = {row["_id"] for row in rows}
    for batch_id, sequence in last.items():
        earlier = Event.get_pymongo_collection().find(
            {"batch_id": batch_id, "sequence": {"$lt": sequence}, "position": 0}, session=session
        )
        rows += [row async for row in earlier if row["_id"] not in chosen]
    return rows


async def read_position(namespace_id: str) -> int:
    """Return the last position given in a namespace; 0 before the first."""
    row = await EventLog.get_pymongo_collection().find_one({"_id": namespace_id})
    return 0 if row is None else int(row["position"])


async def read_entries(namespace_id: str, *, after: int, limit: int) -> list[Entry]:
    """Return up to `limit` entries past a position, in order."""
    cursor = Event.get_pymongo_collection().find(
        {"namespace_id": namespace_id, "position": {"$gt": after}},
        sort=[("position", ASCENDING)],
        limit=limit,
    )
    return [parse_entry(row) async for row in cursor]


async def read_trimmed(namespace_id: str) -> int:
    """Return up to which position entries may be missing.

    Whoever asks after reading entries learns of every hole in them: what is to be removed is
    written down first.
    """
    row = await EventLog.get_pymongo_collection().find_one({"_id": namespace_id})
    return 0 if row is None else int(row.get("trimmed", 0))


async def claim_trim(*, again_in: timedelta) -> EventLog | None:
    """Take a log that nobody has looked at for a while; None when there is none."""
    moment = now()
    row = await EventLog.get_pymongo_collection().find_one_and_update(
        {"$or": [{"trim_at": None}, {"trim_at": {"$lt": moment}}]},
        {"$set": {"trim_at": moment + again_in}},
        return_document=ReturnDocument.AFTER,
    )
    return None if row is None else EventLog.model_validate(row)


async def trim_log(log: EventLog, *, before: datetime, kept_batch_ids: Sequence[str]) -> int:
    """Remove the entries at the log's beginning that are older than a time; return how many.

    Changes of a batch's status stay, and everything of the batches that are named.
    """
    events = Event.get_pymongo_collection()
    newer = await events.find_one(
        {
            "namespace_id": log.id,
            "position": {"$gt": log.trimmed},
            "at": {"$gte": before},
        },
        {"position": 1},
        sort=[("position", ASCENDING)],
    )
    last = log.position if newer is None else newer["position"] - 1
    until = max(min(last, log.rolled_up), log.trimmed)  # what was announced has to be done
    if until <= log.removed:
        return 0
    logs = EventLog.get_pymongo_collection()
    await logs.update_one({"_id": log.id}, {"$max": {"trimmed": until}})
    await reach(Failpoint.LOG_TRIM_TOLD)
    removed = await events.delete_many(
        {
            "namespace_id": log.id,
            "position": {"$gt": 0, "$lte": until},
            "type": {"$nin": [str(kind) for kind in STATUS_EVENTS.values()]},
            "batch_id": {"$nin": list(kept_batch_ids)},
        }
    )
    await reach(Failpoint.LOG_TRIMMED)
    await logs.update_one({"_id": log.id}, {"$max": {"removed": until}})
    return int(removed.deleted_count)
