"""A cancel against commits: at whatever moment it comes, nothing is written after its answer."""

import asyncio
import random

import pytest

from models.batch import Batch
from models.collection import Collection
from models.document import Document
from models.events import read_events
from models.ids import new_id
from models.scope import Scope
from models.stores import Stores
from tests.workers.jobs import Job, inline_engine, open_job, submit, with_engine
from workers.batches import cancel_batch, reconcile

ROUNDS = 8
BLOCKS = 8


async def what_counts(job: Job) -> tuple[object, ...]:
    """Return everything of a batch that somebody could read."""
    documents = await job.scope.all(Document)
    batch = await job.batch()
    return (
        batch.status,
        batch.sequence,
        batch.counts,
        sorted((one.id, one.epoch, one.block_id) for one in documents),
        [(one.id, one.document_count, one.revision) for one in await job.scope.all(Collection)],
        [(one.id, one.status, one.epoch) for one in await job.blocks()],
    )


@pytest.mark.parametrize("round_number", range(ROUNDS))
async def test_s32_nothing_commits_after_a_cancel(stores: Stores, round_number: int) -> None:
    small = with_engine(stores, block_rows=1, blocks_in_flight=4, lease_seconds=2)
    job = await open_job(small, Scope(new_id("ns")), objects=BLOCKS, collections=2)
    await submit(small, job)

    async with inline_engine(small) as engine:
        await reconcile(small, engine, job.batch_id)
        # From before the first commit until shortly after the last, over the rounds.
        async with asyncio.timeout(20):
            while len(await job.scope.all(Document)) < round_number * 2:
                await asyncio.sleep(0.002)
        await asyncio.sleep(random.random() / 50)
        answer = await cancel_batch(small, job.scope, job.batch_id)
        at_the_answer = await what_counts(job)
        done, _ = await asyncio.wait(engine.runs, timeout=20)
        assert done, "the run notices that the batch is no longer its own"
        await reconcile(small, engine, job.batch_id)

    assert answer.status == "CANCELED"
    assert await what_counts(job) == at_the_answer
    batch, events = await job.batch(), await read_events(job.batch_id, after=0, limit=1_000)
    assert [event.sequence for event in events] == list(range(1, batch.sequence + 1))
    kinds = [str(event.type) for event in events]
    assert kinds[-2:] == ["batch.canceling", "batch.canceled"]
    assert kinds.count("block.done") == batch.counts.documents_written
    assert batch.counts.documents_written == await job.scope.count(Document)
    assert {block.status for block in await job.blocks()} <= {"DONE", "CANCELED"}


async def test_s32_a_cancel_and_the_last_commit_agree_on_one_end(stores: Stores) -> None:
    for _ in range(8):
        job = await open_job(stores, Scope(new_id("ns")), objects=1)
        await submit(stores, job)
        async with inline_engine(stores) as engine:
            await reconcile(stores, engine, job.batch_id)
            await asyncio.sleep(random.random() / 20)
            await asyncio.gather(
                cancel_batch(stores, job.scope, job.batch_id),
                reconcile(stores, engine, job.batch_id),
            )
            batch: Batch = await job.batch()
            kinds = await job.history()

        assert batch.status in ("CANCELED", "COMPLETED")
        ends = [kind for kind in kinds if kind in ("batch.canceled", "batch.completed")]
        assert ends == [f"batch.{batch.status.lower()}"]
        assert kinds[-1] == ends[0]
