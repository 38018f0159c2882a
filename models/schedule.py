"""Schedule: submits batches of a bucket's objects at set times; and each of its runs.

`next_at` is the claim: moving it on and writing the run are one transaction, so of several workers
one makes the run. The id of a run follows from its schedule and the time it is for, and the run
names its batch before the batch exists: whoever takes over an unfinished run meets itself.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final

from pymongo import DESCENDING, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from models.ids import new_id
from models.stored import Namespaced, now, server_time_in

NEVER: Final = datetime.fromisoformat("9999-01-01T00:00:00+00:00")  # null would sort below all


class Selection(StrEnum):
    """Which objects a run takes."""

    ALL = "ALL"  # of the bucket
    CHANGED = "CHANGED"  # created or updated since the last run; the first run takes all


class Overlap(StrEnum):
    """What happens when a run is due and the batch of an earlier one has not ended."""

    SKIP = "SKIP"  # this run is left out
    QUEUE = "QUEUE"  # it waits for its turn; one at most, further ones are left out


class CatchUp(StrEnum):
    """What happens to runs that were due while no worker was there."""

    NONE = "NONE"  # they are left out
    LATEST = "LATEST"  # the last of them is made up for
    ALL = "ALL"  # each is made up for, in order


class RunStatus(StrEnum):
    """How far a run is."""

    PENDING = "PENDING"  # due; its batch is being made, or waits for an earlier one
    SUBMITTED = "SUBMITTED"  # its batch is queued: the rest is in the batch
    EMPTY = "EMPTY"  # there was no object to take
    SKIPPED = "SKIPPED"  # left out by the overlap or catch-up policy
    FAILED = "FAILED"  # the batch could not be submitted; the message says why


class Schedule(Namespaced):
    """When, and of what."""

    name: str
    bucket_id: str
    cron: str | None = None  # either this, in `time_zone`,
    every_seconds: int | None = None  # or this, counted from `anchor`
    time_zone: str = "UTC"
    anchor: datetime
    selection: Selection = Selection.CHANGED
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.LATEST
    include_processing_history: bool = False
    priority: int = 0  # of its batches
    paused: bool = False
    next_at: datetime  # NEVER while it is paused or when no time is left
    through: int | None = None  # position in the namespace's log up to which runs took objects
    revision: int = 0  # raised by each change of a client; a claim names the one it saw
    last_batch_id: str | None = None
    updated_at: datetime

    class Settings:
        """Where it is stored and how it is found."""

        name = "schedules"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("name", 1)], unique=True, name="name"),
            IndexModel([("namespace_id", 1), ("_id", 1)], name="namespace"),
            IndexModel([("next_at", 1)], name="due"),
            IndexModel([("bucket_id", 1)], name="bucket"),
        ]


class ScheduleRun(Namespaced):
    """One time at which a schedule was due."""

    schedule_id: str
    due_at: datetime
    manual: bool = False
    patient: bool = False  # waits for its turn whatever the overlap policy: it makes up for another
    status: RunStatus = RunStatus.PENDING
    message: str | None = None
    batch_id: str
    since: int | None = None  # objects that the log names after this position; None: all
    until: int | None = None  # and up to this one; read when the run begins
    objects: int = 0
    finished_at: datetime | None = None
    lease_until: datetime

    class Settings:
        """Where it is stored and how it is found."""

        name = "schedule_runs"
        indexes: ClassVar = [
            IndexModel(
                [("namespace_id", 1), ("schedule_id", 1), ("_id", DESCENDING)], name="schedule"
            ),
            IndexModel(
                [("schedule_id", 1), ("due_at", 1)],
                name="pending",
                partialFilterExpression={"status": "PENDING"},
            ),
        ]


def make_run(schedule: Schedule, due_at: datetime, **values: Any) -> ScheduleRun:
    """Return the run of a schedule for one time; ids sort by that time."""
    stamp = f"{int(due_at.timestamp() * 1000):015d}"
    return ScheduleRun(
        id=f"{schedule.id}/{stamp}",
        namespace_id=schedule.namespace_id,
        schedule_id=schedule.id,
        due_at=due_at,
        batch_id=new_id("btc"),
        lease_until=now(),
        **values,
    )


async def read_due_schedules(*, limit: int) -> list[Schedule]:
    """Return schedules that are due by the server's clock, the longest due first."""
    rows = Schedule.get_pymongo_collection().find(
        {"next_at": {"$lt": NEVER}, "$expr": {"$lte": ["$next_at", "$$NOW"]}},
        sort=[("next_at", 1)],
        limit=limit,
    )
    return [Schedule.model_validate(row) async for row in rows]


async def claim_due(
    session: AsyncClientSession, seen: Schedule, *, next_at: datetime, runs: list[ScheduleRun]
) -> bool:
    """Move a schedule on and write its runs; False when somebody else did, or it was changed."""
    result = await Schedule.get_pymongo_collection().update_one(
        {"_id": seen.id, "next_at": seen.next_at, "revision": seen.revision},
        {"$set": {"next_at": next_at}},
        session=session,
    )
    if not result.matched_count:
        return False
    if runs:
        await ScheduleRun.get_pymongo_collection().insert_many(
            [run.to_mongo() for run in runs], session=session
        )
    return True


async def change_schedule(
    session: AsyncClientSession, schedule_id: str, values: dict[str, Any]
) -> bool:
    """Write what a client changed; whoever claims at this moment loses."""
    result = await Schedule.get_pymongo_collection().update_one(
        {"_id": schedule_id},
        {"$set": {**values, "updated_at": now()}, "$inc": {"revision": 1}},
        session=session,
    )
    return result.matched_count == 1


async def read_pending_schedules() -> list[str]:
    """Return the schedules of which a run has not ended."""
    runs = ScheduleRun.get_pymongo_collection()
    return list(await runs.distinct("schedule_id", {"status": str(RunStatus.PENDING)}))


async def claim_run(schedule_id: str, *, lease_seconds: float) -> ScheduleRun | None:
    """Take the earliest unfinished run of a schedule, if nobody works on it."""
    runs = ScheduleRun.get_pymongo_collection()
    first = await runs.find_one(
        {"schedule_id": schedule_id, "status": str(RunStatus.PENDING)}, sort=[("due_at", 1)]
    )
    if first is None:
        return None
    taken = await runs.find_one_and_update(
        {
            "_id": first["_id"],
            "status": str(RunStatus.PENDING),
            "$expr": {"$lte": ["$lease_until", "$$NOW"]},
        },
        [{"$set": {"lease_until": server_time_in(lease_seconds)}}],
    )
    return None if taken is None else ScheduleRun.model_validate(taken)


async def leave_run(run: ScheduleRun, *, message: str) -> None:
    """Let go of a run that has to wait."""
    await ScheduleRun.get_pymongo_collection().update_one(
        {"_id": run.id, "status": str(RunStatus.PENDING)},
        {"$set": {"lease_until": now(), "message": message}},
    )


async def begin_run(run: ScheduleRun, *, since: int | None, until: int) -> ScheduleRun:
    """Fix which objects a run takes, once: a later attempt takes the same."""
    runs = ScheduleRun.get_pymongo_collection()
    await runs.update_one(
        {"_id": run.id, "until": None}, {"$set": {"since": since, "until": until}}
    )
    row = await runs.find_one({"_id": run.id})
    return run if row is None else ScheduleRun.model_validate(row)


async def skip_behind(run: ScheduleRun, *, message: str) -> None:
    """Leave out the runs behind one that waits; those that make up for others stay."""
    await ScheduleRun.get_pymongo_collection().update_many(
        {
            "schedule_id": run.schedule_id,
            "status": str(RunStatus.PENDING),
            "due_at": {"$gt": run.due_at},
            "patient": False,
        },
        {"$set": {"status": str(RunStatus.SKIPPED), "finished_at": now(), "message": message}},
    )


async def finish_run(
    session: AsyncClientSession, run: ScheduleRun, status: RunStatus, **values: Any
) -> bool:
    """End a run; False when it had ended, or was deleted."""
    result = await ScheduleRun.get_pymongo_collection().update_one(
        {"_id": run.id, "status": str(RunStatus.PENDING)},
        {"$set": {"status": str(status), "finished_at": now(), **values}},
        session=session,
    )
    return result.matched_count == 1
