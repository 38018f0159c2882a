import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pyarrow as pa
import pytest
from pymongo.errors import AutoReconnect

from engine.inline_pool import InlinePools
from engine.pools import ProgressClock
from engine.spec import Extraction
from models.batch import Batch
from models.block import Block
from models.ending import end_tasks
from models.errors import ExtractorUnavailable
from models.events import Event
from models.fields import ExtractorChoice
from models.ids import new_id
from models.row_error import RowError
from models.schedule import Schedule, ScheduleRun
from models.scope import Scope
from models.stores import Stores
from models.task import Task
from tests.factories import make_batch, make_block, store
from tests.failpoints.life import let_leases_run_out
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import (
    InlineEngine,
    Job,
    inline_engine,
    open_job,
    submit,
)  # fmt: skip
from workers import sweeps
from workers.batches import cancel_batch, reconcile
from workers.namespaces import open_namespace
from workers.sweeps import listen, look, sweep

COMPLETED = ["batch.created", "batch.objects_added", "batch.queued", "batch.processing"]


@pytest.fixture(autouse=True)
async def only_ours(stores: Stores) -> None:
    """A sweep looks at every batch and schedule there is: leave it those of the test alone."""
    for model in (Batch, Schedule, ScheduleRun):
        await model.get_pymongo_collection().delete_many({})


async def sweep_until(stores: Stores, engine: InlineEngine, job: Job, status: str) -> Batch:
    async with asyncio.timeout(20):
        while (batch := await job.batch()).status != status:
            await sweep(stores, engine)
            await asyncio.sleep(0.02)
    return batch


async def test_s7_the_sweep_alone_finishes_a_batch(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=20, collections=2)
    await submit(stores, job)

    async with inline_engine(stores) as engine:
        batch = await sweep_until(stores, engine, job, "COMPLETED")

    assert engine.handed == [(job.batch_id, 1)]
    assert (batch.counts.rows_in, batch.counts.documents_written) == (40, 40)
    assert (batch.error_message, batch.reason, batch.blocks_open) == (None, None, 0)
    assert [len(await job.documents(place)) for place in (0, 1)] == [20, 20]
    history = await job.history()
    assert [kind for kind in history if kind != "tier.completed"] == [
        *COMPLETED, *["block.done"] * 4, "batch.completed",
    ]  # fmt: skip
    assert history.count("tier.completed") == 2
    task = await job.scope.require(Task, batch.task_id or "")
    assert (task.status, task.finished_at is not None) == ("COMPLETED", True)


async def test_s2_a_backlog_drains_when_workers_come_back(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    scopes = [namespace.scope]
    for _ in range(3):
        opened, _ = await open_namespace(stores, new_id("ns"))
        scopes.append(Scope(opened.id))
    jobs = [await open_job(stores, scope, objects=20) for scope in scopes]
    for job in jobs:
        await submit(stores, job)
    begun = {"status": {"$ne": "READY"}}
    async with inline_engine(stores) as killed, asyncio.timeout(20):
        for job in jobs[:2]:  # the others nobody has seen
            await reconcile(stores, killed, job.batch_id)
            while not await job.scope.count(Block, begun):
                await asyncio.sleep(0.001)
    await let_leases_run_out()  # nobody is there for minutes

    async with inline_engine(stores) as engine:
        ended = [await sweep_until(stores, engine, job, "COMPLETED") for job in jobs]

    assert [batch.counts.documents_written for batch in ended] == [20] * 4
    assert {block.status for job in jobs for block in await job.blocks()} == {"DONE"}
    assert [(await job.history()).count("batch.completed") for job in jobs] == [1] * 4


async def test_a_doorbell_is_quicker_than_the_sweep(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    async with inline_engine(stores) as engine:
        listening = asyncio.create_task(listen(stores, engine))
        channel = stores.bus.work_channel
        async with asyncio.timeout(20):
            while not dict(await stores.bus.redis.pubsub_numsub(channel)).get(channel):
                await asyncio.sleep(0.01)
            await submit(stores, job)
            await stores.bus.ring_workers(job.batch_id)
            # The engine rings once more when nothing is left to do.
            while (await job.batch()).status != "COMPLETED":
                await asyncio.sleep(0.02)
        await end_tasks(listening)


async def test_s18_any_number_of_looks_have_the_effect_of_one(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=20)
    await submit(stores, job)

    async with inline_engine(stores) as engine, asyncio.timeout(20):
        while (await job.batch()).status != "COMPLETED":
            await asyncio.gather(*(reconcile(stores, engine, job.batch_id) for _ in range(8)))
            await asyncio.sleep(0.01)
        await asyncio.gather(*(reconcile(stores, engine, job.batch_id) for _ in range(8)))

    assert engine.handed == [(job.batch_id, 1)]
    ended = ["block.done", "block.done", "tier.completed", "batch.completed"]
    assert await job.history() == [*COMPLETED, *ended]


async def test_a_batch_whose_engine_is_down_says_why_it_waits_and_runs_later(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    await submit(stores, job)

    async with inline_engine(stores) as engine:
        engine.down = True
        for _ in range(3):
            await sweep(stores, engine)
        waiting = await job.batch()
        assert (waiting.status, waiting.epoch) == ("QUEUED", 0)
        assert waiting.reason is not None
        assert waiting.reason.code == "WAITING_FOR_ENGINE"
        since = waiting.reason.since
        await sweep(stores, engine)
        again = (await job.batch()).reason
        assert again is not None
        assert again.since == since
        engine.down = False
        done = await sweep_until(stores, engine, job, "COMPLETED")

    assert done.reason is None


async def test_s10_a_batch_is_handed_over_again_when_its_run_died(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=20)
    await submit(stores, job)

    async with inline_engine(stores) as engine:
        await sweep(stores, engine)
        engine.runs[0].cancel()
        await asyncio.gather(*engine.runs, return_exceptions=True)
        await lapse(job)
        await sweep_until(stores, engine, job, "COMPLETED")

    assert engine.handed == [(job.batch_id, 1), (job.batch_id, 2)]
    assert len(await job.documents()) == 20
    assert "batch.handed_over" in await job.history()


async def lapse(job: Job) -> None:
    """Let every lease of a job run out now."""
    batches = Batch.get_pymongo_collection()
    ended = {"$set": {"lease_until": make_batch("").lease_until}}
    await batches.update_one({"_id": job.batch_id}, ended)
    await batches.database["blocks"].update_many({"batch_id": job.batch_id}, ended)


async def test_a_batch_of_which_every_row_lacks_an_input_fails_and_says_so(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, rows=[{"other": n} for n in range(5)])
    await submit(stores, job)

    async with inline_engine(stores) as engine:
        batch = await sweep_until(stores, engine, job, "FAILED")

    assert batch.error_message is not None
    assert "5 rows were read and no document was written: 5 lacked an input" in batch.error_message
    assert await job.scope.count(RowError) == 5
    task = await job.scope.require(Task, batch.task_id or "")
    assert (task.status, task.error_message) == ("FAILED", batch.error_message)
    assert (await job.history())[-1] == "batch.failed"


class FailingSecond:
    """Extracts the first block and none after it."""

    def __init__(self, stores: Stores) -> None:
        self._real = InlinePools(stores.settings.cache)
        self._calls = 0

    def pool(self, choice: ExtractorChoice) -> "FailingSecond":
        self._choice = choice
        return self

    async def extract(self, rows: pa.RecordBatch, progress: ProgressClock) -> Extraction:
        self._calls += 1
        if self._calls > 1:
            raise ExtractorUnavailable("The net is gone.")
        return await self._real.pool(self._choice).extract(rows, progress)


async def test_a_failed_block_of_a_later_tier_ends_the_batch_with_errors(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, collections=3)
    await submit(stores, job)

    async with inline_engine(stores, FailingSecond(stores)) as engine:
        batch = await sweep_until(stores, engine, job, "COMPLETED_WITH_ERRORS")

    assert [block.status for block in await job.blocks()] == ["DONE", "FAILED", "CANCELED"]
    assert [len(await job.documents(place)) for place in (0, 1, 2)] == [3, 0, 0]
    assert "1 blocks failed as a whole; 1 blocks were not run" in (batch.error_message or "")
    errors = await job.scope.all(RowError)
    assert [error.message for error in errors] == ["The net is gone."]


async def test_a_batch_left_in_canceling_by_a_crash_is_canceled(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, status="CANCELING", reason=None)
    await store(batch)

    async with inline_engine(stores) as engine:
        await sweep(stores, engine)

    after = await namespace.scope.require(Batch, batch.id)
    assert (after.status, after.finished_at is not None) == ("CANCELED", True)


async def test_a_batch_whose_counts_do_not_add_up_fails(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, status="PROCESSING", counts={"rows_in": 3}, epoch=1)
    await store(batch, make_block(batch, status="DONE", counts={"documents_written": 3}))

    async with inline_engine(stores) as engine:
        await reconcile(stores, engine, batch.id)

    after = await namespace.scope.require(Batch, batch.id)
    assert (after.status, engine.handed) == ("FAILED", [])
    assert "do not add up" in (after.error_message or "")
    [event] = await namespace.scope.all(Event)
    assert event.data == {"message": after.error_message}


async def test_nothing_is_done_for_what_asks_for_nothing(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    await submit(stores, job)
    await cancel_batch(stores, job.scope, job.batch_id)
    before = await job.batch()

    async with inline_engine(stores) as engine:
        await reconcile(stores, engine, job.batch_id)
        await reconcile(stores, engine, "btc_unknown")
        await sweep(stores, engine)

    assert await job.batch() == before
    assert engine.handed == []


async def fail_on(stores: Stores, bad: str, error: Exception) -> Callable[..., Awaitable[None]]:
    """Return a `reconcile` for which one batch is poison."""

    async def poisoned(found: Stores, engine: Any, batch_id: str) -> None:
        if batch_id == bad:
            raise error
        await reconcile(found, engine, batch_id)

    return poisoned


@pytest.mark.parametrize("error", [KeyError("odd"), AutoReconnect("gone"), RuntimeError("Ray")])
async def test_one_odd_batch_does_not_end_the_sweep_of_the_others(
    stores: Stores,
    namespace: NamespaceOfTest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    job = await open_job(stores, namespace.scope)
    odd = make_batch(namespace.id, id="btc_00", status="QUEUED")
    await store(odd)
    await submit(stores, job)
    monkeypatch.setattr(sweeps, "reconcile", await fail_on(stores, odd.id, error))

    async with inline_engine(stores) as engine:
        with caplog.at_level(logging.WARNING):
            await look(stores, engine, odd.id)
        await sweep_until(stores, engine, job, "COMPLETED")

    assert odd.id in caplog.text


async def test_a_sweep_without_a_database_comes_back(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def gone(**how: int | None) -> list[str]:
        raise AutoReconnect("gone")

    monkeypatch.setattr(sweeps, "read_due_batches", gone)
    async with inline_engine(stores) as engine:
        with caplog.at_level(logging.WARNING):
            await sweep(stores, engine)

    assert "MongoDB failed: AutoReconnect" in caplog.text


async def test_sweeps_of_several_workers_share_the_work(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    jobs = [await open_job(stores, Scope(f"{namespace.id}{n}"), objects=2) for n in range(6)]
    for job in jobs:
        await submit(stores, job)

    async with inline_engine(stores) as engine, asyncio.timeout(20):
        while {(await job.batch()).status for job in jobs} != {"COMPLETED"}:
            await asyncio.gather(*(sweep(stores, engine) for _ in range(3)))
            await asyncio.sleep(0.02)

    assert sorted(engine.handed) == sorted((job.batch_id, 1) for job in jobs)
