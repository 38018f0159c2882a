"""Batches that are paused, resumed and given another order on their way."""

import asyncio
from functools import partial

import pytest

from models.batch import Batch
from models.block import Block
from models.ending import end_tasks
from models.errors import IllegalTransition, InvalidInput, NotFound
from models.schedule import Schedule, ScheduleRun
from models.states import BatchStatus
from models.stored import LONG_AGO
from models.stores import Stores
from tests.factories import make_batch, store
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import GatedPools, Job, inline_engine, open_job, submit, with_engine
from workers.batches import CancelMode, cancel_batch, reconcile
from workers.reopening import RetryChoice
from workers.retries import retry_batch
from workers.steering import pause_batch, resume_batch, set_batch_priority
from workers.submissions import submit_batch
from workers.sweeps import sweep


@pytest.fixture(autouse=True)
async def only_ours(stores: Stores) -> None:
    """A sweep looks at every batch and schedule there is: leave it those of the test alone."""
    for model in (Batch, Schedule, ScheduleRun):
        await model.get_pymongo_collection().delete_many({})


async def swept_until(stores: Stores, engine: object, job: Job, status: str) -> Batch:
    async with asyncio.timeout(20):
        while (batch := await job.batch()).status != status:
            await sweep(stores, engine)  # type: ignore[arg-type]
            await asyncio.sleep(0.02)
    return batch


async def test_a_pause_lets_the_block_in_work_commit_and_begins_no_other(
    stores: Stores, namespace: NamespaceOfTest, gate: GatedPools
) -> None:
    single = with_engine(stores, block_rows=1, blocks_in_flight=1)
    job = await open_job(single, namespace.scope, objects=3)
    await submit(single, job)
    async with inline_engine(single, gate) as engine:
        await reconcile(single, engine, job.batch_id)
        await gate.begun.wait()

        paused = await pause_batch(single, job.scope, job.batch_id)
        gate.open.set()
        done, _ = await asyncio.wait(engine.runs, timeout=20)  # it puts the batch down

        assert done
        assert (paused.status, paused.reason and paused.reason.code) == ("PROCESSING", "PAUSED")
        batch = await job.batch()
        assert (batch.blocks_open, batch.counts.documents_written) == (2, 1)
        assert [(block.status, block.attempts) for block in await job.blocks()] == [
            ("DONE", 1), ("READY", 0), ("READY", 0),
        ]  # fmt: skip

    # Everything that knew of it is gone; the sweep of another worker leaves it alone.
    async with inline_engine(single) as engine:
        for _ in range(3):
            await sweep(single, engine)
        assert engine.handed == []
        reason = (await job.batch()).reason
        assert reason is not None
        assert reason.code == "PAUSED"

        await resume_batch(single, job.scope, job.batch_id)
        ended = await swept_until(single, engine, job, "COMPLETED")

    assert engine.handed == [(job.batch_id, 2)]
    assert ended.counts.documents_written == 3
    history = await job.history()
    assert history.count("batch.paused") == history.count("batch.resumed") == 1


async def test_a_pause_while_queued_is_over_when_it_is_resumed(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    await submit(stores, job)
    await pause_batch(stores, job.scope, job.batch_id)

    async with inline_engine(stores) as engine:
        await reconcile(stores, engine, job.batch_id)  # a doorbell that was under way
        await sweep(stores, engine)
        assert (await job.batch()).status == "QUEUED"
        resumed = await resume_batch(stores, job.scope, job.batch_id)
        await swept_until(stores, engine, job, "COMPLETED")

    assert resumed.reason is not None
    assert resumed.reason.code == "WAITING_FOR_WORKER"


async def test_a_run_that_was_not_left_goes_on_when_resumed(
    stores: Stores, namespace: NamespaceOfTest, gate: GatedPools
) -> None:
    single = with_engine(stores, block_rows=1, blocks_in_flight=1)
    job = await open_job(single, namespace.scope, objects=3)
    await submit(single, job)
    async with inline_engine(single, gate) as engine:
        await reconcile(single, engine, job.batch_id)
        await gate.begun.wait()
        await pause_batch(single, job.scope, job.batch_id)
        await resume_batch(single, job.scope, job.batch_id)
        gate.open.set()
        await swept_until(single, engine, job, "COMPLETED")

    assert engine.handed == [(job.batch_id, 1)]
    assert {block.attempts for block in await job.blocks()} == {1}


async def test_pausing_and_resuming_twice_answers_as_once(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    await submit(stores, job)

    paused = await asyncio.gather(*(pause_batch(stores, job.scope, job.batch_id) for _ in range(8)))
    resumed = [await resume_batch(stores, job.scope, job.batch_id) for _ in range(2)]

    assert len({batch.sequence for batch in paused}) == 1
    assert {batch.hold for batch in paused} == {"PAUSED"}
    assert [batch.sequence for batch in resumed] == [paused[0].sequence + 1] * 2
    assert (await job.history())[-2:] == ["batch.paused", "batch.resumed"]


async def test_a_paused_batch_can_be_canceled(
    stores: Stores, namespace: NamespaceOfTest, gate: GatedPools
) -> None:
    job = await open_job(stores, namespace.scope)
    await submit(stores, job)
    async with inline_engine(stores, gate) as engine:
        await reconcile(stores, engine, job.batch_id)
        await gate.begun.wait()
        await pause_batch(stores, job.scope, job.batch_id)

        canceled = await cancel_batch(stores, job.scope, job.batch_id)
        gate.open.set()
        await end_tasks(*engine.runs)

    assert (canceled.status, canceled.hold, canceled.reason) == ("CANCELED", None, None)
    assert (await job.batch()).counts.documents_written == 0


async def test_the_sweep_hands_the_more_urgent_batch_over_first(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    jobs = [await open_job(stores, namespace.scope, objects=1, name=str(n)) for n in range(3)]
    for job, priority in zip(jobs, (0, 0, 2), strict=True):
        await submit_batch(stores, job.scope, job.batch_id, priority=priority)
    await set_batch_priority(stores, namespace.scope, jobs[1].batch_id, 5)

    async with inline_engine(stores) as engine:
        await sweep(stores, engine)

    handed = [batch_id for batch_id, _ in engine.handed]
    assert handed == [jobs[1].batch_id, jobs[2].batch_id, jobs[0].batch_id]


@pytest.mark.parametrize("priority", [-11, 11])
async def test_a_priority_that_there_is_not_is_refused(
    stores: Stores, namespace: NamespaceOfTest, priority: int
) -> None:
    job = await open_job(stores, namespace.scope, objects=1)

    with pytest.raises(InvalidInput, match="-10 to 10") as refused:
        await submit_batch(stores, job.scope, job.batch_id, priority=priority)
    assert (refused.value.path, (await job.batch()).status) == (("priority",), "DRAFT")
    await submit(stores, job)
    with pytest.raises(InvalidInput, match="-10 to 10"):
        await set_batch_priority(stores, job.scope, job.batch_id, priority)


async def test_a_safe_cancel_lets_what_is_in_work_commit_and_nothing_else_begin(
    stores: Stores, namespace: NamespaceOfTest, gate: GatedPools
) -> None:
    single = with_engine(stores, block_rows=1, blocks_in_flight=1)
    job = await open_job(single, namespace.scope, objects=3, collections=2)
    await submit(single, job)
    async with inline_engine(single, gate) as engine:
        await reconcile(single, engine, job.batch_id)
        await gate.begun.wait()

        asked = [
            await cancel_batch(single, job.scope, job.batch_id, mode=CancelMode.SAFE)
            for _ in range(2)
        ]
        stopping = [str(block.status) for block in await job.blocks()]
        for change in (pause_batch, resume_batch):
            with pytest.raises(IllegalTransition, match="is being canceled"):
                await change(single, job.scope, job.batch_id)
        await sweep(single, engine)
        assert (await job.batch()).status == "PROCESSING"
        gate.open.set()
        ended = await swept_until(single, engine, job, "CANCELED")

    assert asked[0].sequence == asked[1].sequence
    assert asked[0].reason is not None
    assert (asked[0].status, asked[0].reason.code) == ("PROCESSING", "STOPPING")
    assert asked[0].blocks_open == 1
    assert stopping == ["LEASED", *["CANCELED"] * 5]
    assert [str(block.status) for block in await job.blocks()] == ["DONE", *["CANCELED"] * 5]
    assert len(await job.documents()) == ended.counts.documents_written == 1
    assert (ended.hold, ended.reason, ended.blocks_open) == (None, None, 0)
    kinds = [kind for kind in await job.history() if kind != "tier.completed"]
    assert kinds[-4:] == ["batch.stopping", "block.done", "batch.canceling", "batch.canceled"]

    retried = await retry_batch(stores, job.scope, job.batch_id, RetryChoice())
    assert retried.blocks == 5
    async with inline_engine(stores) as engine:
        again = await swept_until(stores, engine, job, "COMPLETED")
    assert again.counts.documents_written == 6


async def test_a_safe_cancel_does_not_wait_for_a_run_that_died(
    stores: Stores, namespace: NamespaceOfTest, gate: GatedPools
) -> None:
    single = with_engine(stores, block_rows=1, blocks_in_flight=2)
    job = await open_job(single, namespace.scope, objects=3)
    await submit(single, job)
    async with inline_engine(single, gate) as engine:
        await reconcile(single, engine, job.batch_id)
        await gate.begun.wait()
        await pause_batch(single, job.scope, job.batch_id)
        await cancel_batch(single, job.scope, job.batch_id, mode=CancelMode.SAFE)
        await Block.get_pymongo_collection().update_many(
            {"batch_id": job.batch_id}, {"$set": {"lease_until": LONG_AGO}}
        )

        await sweep(single, engine)

        assert (await job.batch()).status == "CANCELED"
        gate.open.set()  # it was not dead: it commits nothing all the same
        await asyncio.wait(engine.runs, timeout=20)
    assert await job.documents() == []


@pytest.mark.parametrize("second", list(CancelMode))
async def test_what_waits_is_canceled_at_once_in_either_mode(
    stores: Stores, namespace: NamespaceOfTest, second: CancelMode
) -> None:
    job = await open_job(stores, namespace.scope)
    await submit(stores, job)

    canceled = await cancel_batch(stores, job.scope, job.batch_id, mode=CancelMode.SAFE)
    again = await cancel_batch(stores, job.scope, job.batch_id, mode=second)

    assert canceled.status == again.status == "CANCELED"
    assert canceled.sequence == again.sequence


async def test_force_ends_what_is_being_stopped_safely(
    stores: Stores, namespace: NamespaceOfTest, gate: GatedPools
) -> None:
    job = await open_job(stores, namespace.scope)
    await submit(stores, job)
    async with inline_engine(stores, gate) as engine:
        await reconcile(stores, engine, job.batch_id)
        await gate.begun.wait()
        await cancel_batch(stores, job.scope, job.batch_id, mode=CancelMode.SAFE)

        forced = await cancel_batch(stores, job.scope, job.batch_id)
        gate.open.set()
        await end_tasks(*engine.runs)

    assert forced.status == "CANCELED"
    assert await job.documents() == []


@pytest.mark.parametrize("status", sorted(set(BatchStatus) - {"QUEUED", "PROCESSING"}))
async def test_only_what_waits_or_runs_is_steered(
    stores: Stores, namespace: NamespaceOfTest, status: BatchStatus
) -> None:
    batch = make_batch(namespace.id, status=status)
    await store(batch)

    urgent = partial(set_batch_priority, priority=3)
    for change in (pause_batch, resume_batch, urgent):
        with pytest.raises(IllegalTransition, match=f"is {status}") as refused:
            await change(stores, namespace.scope, batch.id)
        assert (refused.value.path, bool(refused.value.hint)) == (("batchId",), True)
        with pytest.raises(NotFound):
            await change(stores, namespace.scope, "btc_nowhere")
