"""Deadlines: by the server's clock, found by the sweep, in one moment with the blocks."""

import asyncio
from datetime import timedelta

import pytest

from models.batch import Batch
from models.errors import InvalidInput, LimitExceeded
from models.events import read_events
from models.schedule import Schedule, ScheduleRun
from models.stored import LONG_AGO, now
from models.stores import Stores
from models.task import Task
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import (
    GatedPools,
    Job,
    inline_engine,
    open_job,
    submit,
    with_engine,
    with_quotas,
)
from workers.batches import reconcile
from workers.reopening import RetryChoice
from workers.retries import retry_batch
from workers.steering import pause_batch
from workers.submissions import submit_batch
from workers.sweeps import sweep


@pytest.fixture(autouse=True)
async def only_ours(stores: Stores) -> None:
    """A sweep looks at every batch and schedule there is: leave it those of the test alone."""
    for model in (Batch, Schedule, ScheduleRun):
        await model.get_pymongo_collection().delete_many({})


async def submit_with(stores: Stores, job: Job, seconds: float) -> None:
    await submit_batch(stores, job.scope, job.batch_id, deadline_seconds=seconds)


async def let_pass(job: Job) -> None:
    await Batch.get_pymongo_collection().update_one(
        {"_id": job.batch_id}, {"$set": {"deadline_at": LONG_AGO}}
    )


async def test_a_batch_that_is_late_fails_and_what_is_in_work_cannot_commit(
    stores: Stores, namespace: NamespaceOfTest, gate: GatedPools
) -> None:
    single = with_engine(stores, block_rows=1, blocks_in_flight=2)
    job = await open_job(single, namespace.scope, objects=3, collections=2)
    await submit_with(single, job, 60)
    async with inline_engine(single, gate) as engine:
        await reconcile(single, engine, job.batch_id)
        await gate.begun.wait()
        epochs = {block.id: block.epoch for block in await job.blocks()}
        await let_pass(job)

        await sweep(single, engine)
        late = await job.batch()
        gate.open.set()
        await asyncio.wait(engine.runs, timeout=20)

    assert late.status == "FAILED"
    assert late.reason is not None
    assert late.reason.code == "DEADLINE_EXCEEDED"
    assert late.error_message is not None
    assert late.error_message.startswith("DEADLINE_EXCEEDED: ")
    assert "60 s" in late.error_message
    blocks = await job.blocks()
    assert {(block.status, block.epoch - epochs[block.id]) for block in blocks} == {("CANCELED", 1)}
    assert await job.documents() == []
    assert (await job.batch()).sequence == late.sequence
    event = (await read_events(job.batch_id, after=0, limit=99))[-1]
    assert (event.type, event.data["code"]) == ("batch.failed", "DEADLINE_EXCEEDED")
    task = await job.scope.require(Task, late.task_id or "")
    assert (task.status, task.error_message) == ("FAILED", late.error_message)


async def test_the_sweep_alone_ends_a_late_batch_that_waits_or_is_paused(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    waiting, paused, patient = [
        await open_job(stores, namespace.scope, name=str(number)) for number in range(3)
    ]
    await submit_with(stores, waiting, 0.05)
    await submit_with(stores, paused, 0.05)
    await submit_with(stores, patient, 600)
    await pause_batch(stores, namespace.scope, paused.batch_id)
    await asyncio.sleep(0.1)

    async with inline_engine(stores) as engine:
        engine.down = True
        await sweep(stores, engine)

    assert (await waiting.batch()).status == (await paused.batch()).status == "FAILED"
    assert (await patient.batch()).status == "QUEUED"


async def test_what_has_only_to_be_counted_has_ended_in_time(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    await submit_with(stores, job, 60)
    async with inline_engine(stores) as engine, asyncio.timeout(20):
        await reconcile(stores, engine, job.batch_id)
        while (await job.batch()).blocks_open:
            await asyncio.sleep(0.01)
        await let_pass(job)
        await sweep(stores, engine)

    assert (await job.batch()).status == "COMPLETED"


async def test_a_count_that_drifted_does_not_fail_a_batch_that_has_ended_in_time(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    await submit_with(stores, job, 60)
    drift = {"$inc": {"blocks_open": 1}}
    await Batch.get_pymongo_collection().update_one({"_id": job.batch_id}, drift)
    async with inline_engine(stores) as engine, asyncio.timeout(20):
        await reconcile(stores, engine, job.batch_id)
        while (await job.batch()).blocks_open > 1:
            await asyncio.sleep(0.01)
        await let_pass(job)
        await sweep(stores, engine)
        await sweep(stores, engine)

    assert (await job.batch()).status == "COMPLETED"


async def test_a_retry_has_as_much_time_again(stores: Stores, namespace: NamespaceOfTest) -> None:
    job = await open_job(stores, namespace.scope)
    await submit_with(stores, job, 60)
    await let_pass(job)
    async with inline_engine(stores) as engine:
        await reconcile(stores, engine, job.batch_id)

        retried = (await retry_batch(stores, job.scope, job.batch_id, RetryChoice())).batch

        assert retried.deadline_at is not None
        assert timedelta(seconds=50) < retried.deadline_at - now() < timedelta(seconds=70)
        assert retried.reason is not None
        assert retried.reason.code == "WAITING_FOR_WORKER"


async def test_the_server_has_a_longest_time_and_gives_it_to_who_asks_for_none(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    limited = with_quotas(stores, batch_seconds=90)
    job = await open_job(limited, namespace.scope)

    with pytest.raises(LimitExceeded, match="100 s; at most 90") as refused:
        await submit_with(limited, job, 100)
    with pytest.raises(InvalidInput, match="not 0 s"):
        await submit_with(limited, job, 0)
    assert refused.value.path == ("deadlineSeconds",)
    await submit(limited, job)

    assert (await job.batch()).deadline_seconds == 90
