import asyncio
from datetime import timedelta
from typing import Any

import pytest

from models.batch import Batch
from models.collection import Source
from models.errors import InvalidInput, NameTaken, StoreUnavailable
from models.schedule import (
    NEVER,
    CatchUp,
    Overlap,
    RunStatus,
    Schedule,
    ScheduleRun,
    Selection,
    claim_run,
)
from models.scope import Scope
from models.stored import now
from models.stores import Stores
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import add_objects_to, make_draft
from workers import schedules
from workers.collections import open_collection
from workers.intake import open_bucket
from workers.schedules import (
    ScheduleDraft,
    delete_schedule,
    make_due_runs,
    open_schedule,
    pause_schedule,
    resume_schedule,
    tend_schedules,
    trigger_schedule,
    update_schedule,
)
from workers.submissions import submit_batch

HOUR = timedelta(hours=1)


class Planned:
    """A schedule over a bucket of its own, whose times the test sets."""

    def __init__(self, stores: Stores, scope: Scope, schedule: Schedule, bucket: Any) -> None:
        self.stores = stores
        self.scope = scope
        self.id = schedule.id
        self.bucket = bucket

    async def read(self) -> Schedule:
        return await self.scope.require(Schedule, self.id)

    async def due(self, ago: timedelta = timedelta(0)) -> Schedule:
        """Let it be due since `ago`."""
        await Schedule.get_pymongo_collection().update_one(
            {"_id": self.id}, {"$set": {"next_at": now() - ago, "anchor": now() - ago}}
        )
        return await self.read()

    async def add(self, *numbers: int) -> list[str]:
        rows = [{"number": number} for number in numbers]
        return await add_objects_to(self.stores, self.scope, self.bucket, rows)

    async def runs(self) -> list[ScheduleRun]:
        return await self.scope.all(ScheduleRun, {"schedule_id": self.id})

    async def statuses(self) -> list[str]:
        return [str(run.status) for run in await self.runs()]

    async def batch(self, place: int = -1) -> Batch:
        return await self.scope.require(Batch, (await self.runs())[place].batch_id)

    async def end_batch(self) -> None:
        await Batch.get_pymongo_collection().update_one(
            {"_id": (await self.batch()).id}, {"$set": {"status": "COMPLETED", "blocks_open": 0}}
        )


async def plan(stores: Stores, namespace: NamespaceOfTest, **values: Any) -> Planned:
    scope = namespace.scope
    bucket = await open_bucket(scope, "objects", description="", fields=[])
    await open_collection(scope, make_draft(Source(bucket_id=bucket.id)))
    usual: dict[str, Any] = {
        "name": "hourly",
        "bucket_id": bucket.id,
        "cron": None,
        "every_seconds": 3600,
        "time_zone": "UTC",
        "selection": Selection.CHANGED,
        "overlap": Overlap.SKIP,
        "catch_up": CatchUp.LATEST,
        "include_processing_history": False,
    }
    made = await open_schedule(stores, scope, ScheduleDraft(**{**usual, **values}))
    return Planned(stores, scope, made, bucket)


async def test_a_due_schedule_submits_a_batch_of_all_objects_once(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    planned = await plan(stores, namespace)
    await planned.add(1, 2, 3)
    await planned.due()

    await asyncio.gather(*(tend_schedules(stores) for _ in range(4)))
    await tend_schedules(stores)

    (run,) = await planned.runs()
    assert (run.status, run.objects) == (RunStatus.SUBMITTED, 3)
    batch = await planned.batch()
    assert (batch.status, batch.counts.objects, batch.name) == ("QUEUED", 3, "hourly")
    assert batch.metadata["scheduleId"] == planned.id
    schedule = await planned.read()
    assert schedule.last_batch_id == batch.id
    assert timedelta(0) < schedule.next_at - now() <= HOUR


async def test_its_batches_have_its_priority(stores: Stores, namespace: NamespaceOfTest) -> None:
    planned = await plan(stores, namespace, priority=3)
    await update_schedule(stores, planned.scope, planned.id, {"priority": -7})
    await planned.add(1)
    await planned.due()

    await tend_schedules(stores)

    assert (await planned.batch()).priority == -7
    with pytest.raises(InvalidInput) as caught:
        await update_schedule(stores, planned.scope, planned.id, {"priority": 11})
    assert caught.value.path == ("priority",)


async def test_the_next_run_takes_what_is_new_and_none_makes_no_batch(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    planned = await plan(stores, namespace)
    await planned.add(1, 2)
    for new in ([], [3], []):
        await planned.due()
        await tend_schedules(stores)
        if (await planned.statuses())[-1] == "SUBMITTED":
            await planned.end_batch()
        await planned.add(*new)
    await planned.due()
    await tend_schedules(stores)

    runs = await planned.runs()
    assert [(str(run.status), run.objects) for run in runs] == [
        ("SUBMITTED", 2), ("EMPTY", 0), ("SUBMITTED", 1), ("EMPTY", 0),
    ]  # fmt: skip
    assert await planned.scope.count(Batch) == 2


async def test_a_run_of_all_takes_all_each_time(stores: Stores, namespace: NamespaceOfTest) -> None:
    planned = await plan(stores, namespace, selection=Selection.ALL)
    await planned.add(1, 2)
    for _ in range(2):
        await planned.due()
        await tend_schedules(stores)
        await planned.end_batch()

    assert [run.objects for run in await planned.runs()] == [2, 2]


@pytest.mark.parametrize(
    ("overlap", "waiting", "afterwards"),
    [
        (Overlap.SKIP, ["SUBMITTED", "SKIPPED", "SKIPPED"], ["SUBMITTED", "SKIPPED", "SKIPPED"]),
        (Overlap.QUEUE, ["SUBMITTED", "PENDING", "SKIPPED"], ["SUBMITTED", "SUBMITTED", "SKIPPED"]),
    ],
)
async def test_a_run_that_meets_a_live_batch_is_left_out_or_waits(
    stores: Stores,
    namespace: NamespaceOfTest,
    overlap: Overlap,
    waiting: list[str],
    afterwards: list[str],
) -> None:
    planned = await plan(stores, namespace, overlap=overlap, selection=Selection.ALL)
    await planned.add(1)
    for _ in range(3):
        await planned.due()
        await tend_schedules(stores)
    assert await planned.statuses() == waiting
    first = await planned.batch(0)
    assert first.id in ((await planned.runs())[1].message or "")

    await Batch.get_pymongo_collection().update_one(
        {"_id": first.id}, {"$set": {"status": "COMPLETED"}}
    )
    await tend_schedules(stores)

    assert await planned.statuses() == afterwards


@pytest.mark.parametrize(
    ("catch_up", "statuses"),
    [
        (CatchUp.NONE, ["SKIPPED", "SKIPPED", "SKIPPED"]),
        (CatchUp.LATEST, ["SKIPPED", "SKIPPED", "SUBMITTED"]),
        (CatchUp.ALL, ["SUBMITTED", "PENDING", "PENDING"]),
    ],
)
async def test_runs_that_no_worker_made_are_caught_up_as_told(
    stores: Stores, namespace: NamespaceOfTest, catch_up: CatchUp, statuses: list[str]
) -> None:
    planned = await plan(stores, namespace, catch_up=catch_up, selection=Selection.ALL)
    await planned.add(1)
    await planned.due(2 * HOUR + timedelta(minutes=30))

    await tend_schedules(stores)
    await tend_schedules(stores)

    assert await planned.statuses() == statuses


async def test_an_unfinished_run_is_taken_over_and_meets_itself(
    stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = await plan(stores, namespace)
    await planned.add(1, 2)

    async def submit_and_die(*arguments: Any, **options: Any) -> None:
        await submit_batch(*arguments, **options)
        raise StoreUnavailable("The worker dies here.")

    monkeypatch.setattr(schedules, "submit_batch", submit_and_die)
    await planned.due()
    await tend_schedules(stores)
    assert await planned.statuses() == ["PENDING"]
    monkeypatch.undo()

    await tend_schedules(stores)

    assert await planned.statuses() == ["SUBMITTED"]
    assert (await planned.scope.count(Batch), (await planned.batch()).counts.objects) == (1, 2)


async def test_nobody_takes_a_run_that_is_worked_on(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    planned = await plan(stores, namespace)
    await make_due_runs(stores, await planned.due())

    first = await claim_run(planned.id, lease_seconds=60)
    second = await claim_run(planned.id, lease_seconds=60)

    assert first is not None
    assert second is None


async def test_a_run_that_cannot_be_says_why_and_leaves_its_objects_to_the_next(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    planned = await plan(stores, namespace)
    bucket = await open_bucket(planned.scope, "unread", description="", fields=[])
    await Schedule.get_pymongo_collection().update_one(
        {"_id": planned.id}, {"$set": {"bucket_id": bucket.id}}
    )
    planned.bucket = bucket
    await planned.add(1)
    await planned.due()
    await tend_schedules(stores)

    (run,) = await planned.runs()
    assert run.status is RunStatus.FAILED
    assert "No collection reads" in (run.message or "")
    assert await planned.scope.count(Batch) == 0
    await open_collection(planned.scope, make_draft(Source(bucket_id=bucket.id), "reader"))
    await planned.due()
    await tend_schedules(stores)
    assert (await planned.runs())[-1].objects == 1


async def test_a_paused_schedule_rests_and_can_still_be_triggered(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    planned = await plan(stores, namespace)
    await planned.add(1)
    paused = await pause_schedule(stores, planned.scope, planned.id)
    await tend_schedules(stores)
    assert (paused.next_at, await planned.statuses()) == (NEVER, [])

    await trigger_schedule(stores, planned.scope, planned.id)
    await tend_schedules(stores)
    resumed = await resume_schedule(stores, planned.scope, planned.id)

    (run,) = await planned.runs()
    assert (run.manual, str(run.status)) == (True, "SUBMITTED")
    assert timedelta(0) < resumed.next_at - now() <= HOUR


async def test_a_change_defeats_a_claim_that_saw_the_old_times(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    planned = await plan(stores, namespace)
    seen = await planned.due()

    changed = await update_schedule(
        stores, planned.scope, planned.id, {"cron": "0 0 1 1 *", "name": "yearly"}
    )

    assert (changed.cron, changed.every_seconds, changed.name) == ("0 0 1 1 *", None, "yearly")
    assert not await make_due_runs(stores, seen)
    assert await planned.runs() == []


async def test_a_name_is_used_once_and_free_after_deletion(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    planned = await plan(stores, namespace)
    draft = ScheduleDraft(
        "hourly", planned.bucket.id, None, 60, "UTC", Selection.ALL, Overlap.SKIP, CatchUp.NONE,
        False,
    )  # fmt: skip
    with pytest.raises(NameTaken):
        await open_schedule(stores, planned.scope, draft)

    await delete_schedule(stores, planned.scope, planned.id)

    assert (await open_schedule(stores, planned.scope, draft)).name == "hourly"
