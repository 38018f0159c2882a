"""Schedules: what clients do to them, and what the sweep does when they are due."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from pymongo.errors import DuplicateKeyError, PyMongoError

from models.batch import Batch
from models.bucket import Bucket
from models.database import Session
from models.errors import (
    Conflict,
    IllegalTransition,
    NameTaken,
    StrataError,
    Transient,
)
from models.event_log import read_entries, read_position, read_trimmed
from models.events import EventType
from models.failpoints import Failpoint, reach
from models.idempotency import Claim
from models.ids import new_id
from models.object import Object
from models.schedule import (
    NEVER,
    CatchUp,
    Overlap,
    RunStatus,
    Schedule,
    ScheduleRun,
    Selection,
    begin_run,
    change_schedule,
    claim_due,
    claim_run,
    finish_run,
    leave_run,
    make_run,
    read_due_schedules,
    read_pending_schedules,
    skip_behind,
)
from models.scope import Scope
from models.states import LIVE, BatchStatus
from models.stored import now
from models.stores import Stores
from workers.batches import add_objects, delete_batch, open_batch
from workers.events import publish
from workers.names import require_name
from workers.steering import require_priority
from workers.submissions import submit_batch
from workers.timetable import Due, first_time, plan_due, require_timetable

logger = logging.getLogger(__name__)
_GRACE: Final = timedelta(seconds=60)  # so late, a run is still on time
_DUE_AT_ONCE: Final = 100
_OBJECTS: Final = 1000
_LEASE_SECONDS: Final = 60.0
_TAKEN: Final = frozenset({EventType.OBJECT_CREATED, EventType.OBJECT_UPDATED})


@dataclass(frozen=True)
class ScheduleDraft:
    """A schedule as a client describes it."""

    name: str
    bucket_id: str
    cron: str | None
    every_seconds: int | None
    time_zone: str
    selection: Selection
    overlap: Overlap
    catch_up: CatchUp
    include_processing_history: bool
    priority: int = 0


async def open_schedule(
    stores: Stores, scope: Scope, draft: ScheduleDraft, *, claim: Claim | None = None
) -> Schedule:
    """Create a schedule; its first run is at its next time.

    Raises:
        NotFound: no such bucket.
        InvalidInput: a bad name, no such priority, or times that cannot be.
        NameTaken: the namespace has a schedule of that name.
    """
    require_name(draft.name)
    require_priority(draft.priority)
    require_timetable(draft.cron, draft.every_seconds, draft.time_zone)
    await scope.require(Bucket, draft.bucket_id, path=("bucketId",))
    moment = now()
    schedule = Schedule(
        id=new_id("sch"),
        namespace_id=scope.namespace_id,
        anchor=moment,
        next_at=NEVER,
        updated_at=moment,
        **vars(draft),
    )
    schedule.next_at = first_time(schedule, moment)

    async def insert(session: Session) -> None:
        rows = Schedule.get_pymongo_collection()
        await rows.insert_one(schedule.to_mongo(), session=session)
        await (claim or Claim()).settle(session, schedule_id=schedule.id)

    try:
        await stores.database.transaction(insert)
    except DuplicateKeyError as error:
        raise NameTaken(f"A schedule {draft.name!r} exists.", path=("name",)) from error
    return schedule


async def update_schedule(
    stores: Stores, scope: Scope, schedule_id: str, changes: dict[str, Any]
) -> Schedule:
    """Change some of a schedule's fields, named as in the model; the rest stays.

    Raises:
        NotFound: no such schedule.
        InvalidInput: a bad name, no such priority, or times that cannot be.
        NameTaken: the namespace has a schedule of that name.
    """
    found = await scope.require(Schedule, schedule_id, path=("scheduleId",))
    changed = Schedule.model_validate({**found.to_mongo(), **changes})
    if "name" in changes:
        require_name(changed.name)
    require_priority(changed.priority)
    # Naming one of both ways to say when replaces the other.
    if changes.get("cron") is not None and "every_seconds" not in changes:
        changed.every_seconds = None
    if changes.get("every_seconds") is not None and "cron" not in changes:
        changed.cron = None
    require_timetable(changed.cron, changed.every_seconds, changed.time_zone)
    if not changed.paused:
        changed.next_at = first_time(changed, now())
    values = changed.model_dump(include={"next_at", "every_seconds", "cron", *changes})
    await _change(stores, schedule_id, values, name=changed.name)
    return await scope.require(Schedule, schedule_id)


async def pause_schedule(stores: Stores, scope: Scope, schedule_id: str) -> Schedule:
    """Stop making runs; one that has begun goes on. Pausing twice changes nothing."""
    await scope.require(Schedule, schedule_id, path=("scheduleId",))
    await _change(stores, schedule_id, {"paused": True, "next_at": NEVER})
    return await scope.require(Schedule, schedule_id)


async def resume_schedule(stores: Stores, scope: Scope, schedule_id: str) -> Schedule:
    """Make runs again from the next time on; what was due meanwhile is not made up for."""
    found = await scope.require(Schedule, schedule_id, path=("scheduleId",))
    if found.paused:
        values = {"paused": False, "next_at": first_time(found, now())}
        await _change(stores, schedule_id, values)
    return await scope.require(Schedule, schedule_id)


async def trigger_schedule(
    stores: Stores, scope: Scope, schedule_id: str, *, claim: Claim | None = None
) -> ScheduleRun:
    """Make a run now, also of a paused schedule; the sweep takes it up.

    Raises:
        NotFound: no such schedule.
        Conflict: a run for this very moment exists.
    """
    found = await scope.require(Schedule, schedule_id, path=("scheduleId",))
    run = make_run(found, now(), manual=True, patient=True)

    async def insert(session: Session) -> None:
        rows = ScheduleRun.get_pymongo_collection()
        await rows.insert_one(run.to_mongo(), session=session)
        await (claim or Claim()).settle(session, run_id=run.id)

    try:
        await stores.database.transaction(insert)
    except DuplicateKeyError as error:
        raise Conflict("It was triggered at this very moment.", hint="Try again.") from error
    return run


async def delete_schedule(stores: Stores, scope: Scope, schedule_id: str) -> None:
    """Forget a schedule and its history; its batches stay."""
    await scope.require(Schedule, schedule_id, path=("scheduleId",))

    async def work(session: Session) -> None:
        await Schedule.get_pymongo_collection().delete_one({"_id": schedule_id}, session=session)
        await ScheduleRun.get_pymongo_collection().delete_many(
            {"schedule_id": schedule_id}, session=session
        )

    await stores.database.transaction(work)


async def _change(
    stores: Stores, schedule_id: str, values: dict[str, Any], *, name: str = ""
) -> None:
    try:
        await stores.database.transaction(
            lambda session: change_schedule(session, schedule_id, values)
        )
    except DuplicateKeyError as error:
        raise NameTaken(f"A schedule {name!r} exists.", path=("name",)) from error


async def tend_schedules(stores: Stores) -> None:
    """Make the runs that are due and work off those that have not ended; safe to do at once."""
    for schedule in await read_due_schedules(limit=_DUE_AT_ONCE):
        await make_due_runs(stores, schedule)
        await reach(Failpoint.SCHEDULE_MOVED_ON)
    for schedule_id in await read_pending_schedules():
        await _work_off(stores, schedule_id)


async def make_due_runs(stores: Stores, schedule: Schedule) -> bool:
    """Move one schedule on; False when another worker did."""
    moment = max(now(), schedule.next_at)
    due = plan_due(schedule, moment)
    late = not due.times or moment - due.times[-1] > _GRACE
    runs = _runs(schedule, due, late=late)
    return await stores.database.transaction(
        lambda session: claim_due(session, schedule, next_at=due.next_at, runs=runs)
    )


def _runs(schedule: Schedule, due: Due, *, late: bool) -> list[ScheduleRun]:
    """Return a run for each time that has come, the left out ones among them."""
    left_out = {
        "status": RunStatus.SKIPPED,
        "finished_at": now(),
        "message": "It was due while no worker was there.",
    }
    *missed, latest = due.times or [schedule.next_at]
    patient = schedule.catch_up is CatchUp.ALL
    runs = [make_run(schedule, time, **({"patient": True} if patient else left_out))
            for time in missed]  # fmt: skip
    skipped = late and schedule.catch_up is CatchUp.NONE
    runs.append(make_run(schedule, latest, **(left_out if skipped else {"patient": patient})))
    return runs


async def _work_off(stores: Stores, schedule_id: str) -> None:
    """Take up the earliest run of a schedule; whatever goes wrong is this schedule's alone."""
    try:
        run = await claim_run(schedule_id, lease_seconds=_LEASE_SECONDS)
        if run is not None:
            await _take_up(stores, run)
    except PyMongoError as error:
        logger.warning("Schedule %s: %s", schedule_id, type(error).__name__)
    except Exception:
        logger.exception("Schedule %s", schedule_id)


async def _take_up(stores: Stores, run: ScheduleRun) -> None:
    scope = Scope(run.namespace_id)
    schedule = await scope.find(Schedule, run.schedule_id)
    if schedule is None:
        return
    if (before := await _unfinished(scope, schedule, run)) is not None:
        await _yield_to(stores, schedule, run, before)
        return
    try:
        await _run(stores, scope, schedule, run)
    except Transient as error:
        await leave_run(run, message=error.message)
    except StrataError as error:
        await _give_up(stores, scope, run, error)


async def _unfinished(scope: Scope, schedule: Schedule, run: ScheduleRun) -> Batch | None:
    """Return the batch of an earlier run, while it is live."""
    if schedule.last_batch_id is None or schedule.last_batch_id == run.batch_id:
        return None
    before = await scope.find(Batch, schedule.last_batch_id)
    return before if before is not None and before.status in LIVE else None


async def _yield_to(stores: Stores, schedule: Schedule, run: ScheduleRun, before: Batch) -> None:
    message = f"Batch {before.id} of the run before had not ended."
    if schedule.overlap is Overlap.QUEUE or run.patient:
        await leave_run(run, message=message)
        await skip_behind(run, message=message)
    else:
        await stores.database.transaction(
            lambda session: finish_run(session, run, RunStatus.SKIPPED, message=message)
        )


async def _run(stores: Stores, scope: Scope, schedule: Schedule, run: ScheduleRun) -> None:
    """Make the batch and submit it; every step may have been done by an earlier attempt."""
    if run.until is None:
        await publish(stores, scope.namespace_id)  # whatever is committed has its place
        since = schedule.through if schedule.selection is Selection.CHANGED else None
        run = await begin_run(run, since=since, until=await read_position(scope.namespace_id))
        await reach(Failpoint.SCHEDULE_RUN_BEGUN)
    async for ids in _chosen(scope, schedule, run):
        await _require_batch(stores, scope, schedule, run)
        try:
            await add_objects(stores, scope, run.batch_id, ids)
        except IllegalTransition:
            break  # an earlier attempt got as far as to submit it
    batch = await scope.find(Batch, run.batch_id)
    if batch is None:
        await _end(stores, schedule, run, RunStatus.EMPTY, message="Nothing to take.")
        return
    if batch.status == BatchStatus.DRAFT:
        await submit_batch(
            stores, scope, run.batch_id,
            include_processing_history=schedule.include_processing_history,
            priority=schedule.priority,
        )  # fmt: skip
    await reach(Failpoint.SCHEDULE_RUN_SUBMITTED)
    await stores.bus.ring_workers(run.batch_id)
    batch = await scope.require(Batch, run.batch_id)
    await _end(stores, schedule, run, RunStatus.SUBMITTED, objects=batch.counts.objects)


async def _require_batch(
    stores: Stores, scope: Scope, schedule: Schedule, run: ScheduleRun
) -> None:
    if await scope.find(Batch, run.batch_id) is None:
        await open_batch(
            stores,
            scope,
            bucket_id=schedule.bucket_id,
            name=schedule.name,
            metadata={"scheduleId": schedule.id, "dueAt": run.due_at.isoformat()},
            object_ids=[],
            batch_id=run.batch_id,
        )


async def _chosen(scope: Scope, schedule: Schedule, run: ScheduleRun) -> AsyncIterator[list[str]]:
    """Yield the ids of a run's objects; one may come twice."""
    await scope.require(Bucket, schedule.bucket_id, path=("bucketId",))
    # What the log has lost since then cannot be told: all of the bucket is taken instead.
    lost = run.since is not None and run.since < await read_trimmed(scope.namespace_id)
    found = _all(scope, schedule) if run.since is None or lost else _changed(scope, schedule, run)
    async for ids in found:
        if ids:
            yield ids


async def _all(scope: Scope, schedule: Schedule) -> AsyncIterator[list[str]]:
    after: str | None = None
    while True:
        match = {"bucket_id": schedule.bucket_id}
        page = await scope.page(Object, match, limit=_OBJECTS, after=after)
        yield [item.id for item in page.items]
        if not page.has_next:
            return
        after = page.items[-1].id


async def _changed(scope: Scope, schedule: Schedule, run: ScheduleRun) -> AsyncIterator[list[str]]:
    """Yield what the log names between two positions, exact where clocks are not."""
    position, until = run.since or 0, run.until or 0
    while position < until:
        entries = await read_entries(scope.namespace_id, after=position, limit=_OBJECTS)
        if not entries:
            return
        position = entries[-1].position
        for entry in entries:
            if (
                entry.position <= until
                and entry.type in _TAKEN
                and entry.bucket_id == schedule.bucket_id
            ):
                # Whoever was deleted since is not there any more.
                yield list(await scope.find_many(Object, entry.data["objectIds"]))


async def _end(
    stores: Stores, schedule: Schedule, run: ScheduleRun, status: RunStatus, **values: Any
) -> None:
    async def work(session: Session) -> None:
        if not await finish_run(session, run, status, **{"message": None, **values}):
            return
        moved: dict[str, Any] = {"through": run.until}
        if status is RunStatus.SUBMITTED:
            moved["last_batch_id"] = run.batch_id
        await Schedule.get_pymongo_collection().update_one(
            {"_id": schedule.id}, {"$set": moved}, session=session
        )

    await stores.database.transaction(work)


async def _give_up(stores: Stores, scope: Scope, run: ScheduleRun, error: StrataError) -> None:
    """End a run that cannot be: no draft of it stays, and the next run takes its objects too."""
    batch = await scope.find(Batch, run.batch_id)
    if batch is not None and batch.status == BatchStatus.DRAFT:
        await delete_batch(stores, scope, run.batch_id)
    await stores.database.transaction(
        lambda session: finish_run(session, run, RunStatus.FAILED, message=error.message)
    )
