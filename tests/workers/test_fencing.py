"""A run that was thought dead goes on under its old epoch: what it still writes does not count."""

import asyncio
from datetime import timedelta

import pyarrow as pa

from engine.inline_pool import InlinePools
from engine.pools import ProgressClock
from engine.spec import Extraction
from models.batch import Batch
from models.block import Block
from models.collection import Collection
from models.events import read_events
from models.fields import ExtractorChoice
from models.stored import now
from models.stores import Stores
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import Job, before, inline_engine, open_job, stored_keys, submit
from workers.batches import reconcile


class Held:
    """Holds its first extraction back until it is let go."""

    def __init__(self, stores: Stores) -> None:
        self._real = InlinePools(stores.settings.cache)
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    def pool(self, choice: ExtractorChoice) -> "Held":
        self._choice = choice
        return self

    async def extract(self, rows: pa.RecordBatch, progress: ProgressClock) -> Extraction:
        extraction = await self._real.pool(self._choice).extract(rows, progress)
        if not self.begun.is_set():
            self.begun.set()
            await self.go.wait()
        return extraction


async def lapse(job: Job) -> None:
    """Let every lease of a job run out now."""
    past = {"$set": {"lease_until": now() - timedelta(seconds=1)}}
    await Batch.get_pymongo_collection().update_one({"_id": job.batch_id}, past)
    await Block.get_pymongo_collection().update_many({"batch_id": job.batch_id}, past)


async def until(job: Job, status: str) -> None:
    async with asyncio.timeout(20):
        while (await job.batch()).status != status:
            await asyncio.sleep(0.01)


async def test_s4_a_stale_run_commits_nothing_that_can_be_read(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=5)
    await submit(stores, job)
    held = Held(stores)
    async with inline_engine(stores, held) as stale, inline_engine(stores) as fresh:
        await reconcile(stores, stale, job.batch_id)
        await asyncio.wait_for(held.begun.wait(), 20)
        await lapse(job)

        # Another worker takes over, and the block with it.
        await reconcile(stores, fresh, job.batch_id)
        await asyncio.wait_for(asyncio.gather(*fresh.runs), 20)
        after_the_fresh = (await job.blocks(), await job.documents(), await job.history())
        held.go.set()
        await asyncio.wait_for(asyncio.gather(*stale.runs, return_exceptions=True), 20)

    [block] = await job.blocks()
    assert (block.status, block.epoch, block.attempts) == ("DONE", 2, 2)
    assert block.output is not None
    assert block.output.key.endswith(f"{block.id}-2.parquet")
    assert block.output.key in await stored_keys(stores, job)
    assert (await job.blocks(), await job.documents(), await job.history()) == after_the_fresh
    assert {document.epoch for document in await job.documents()} == {2}
    batch = await job.batch()
    assert (batch.epoch, batch.counts.documents_written, batch.blocks_open) == (2, 5, 0)
    collection = await job.scope.require(Collection, job.collections[0].id)
    assert (collection.document_count, collection.revision) == (5, 1)
    events = await read_events(job.batch_id, after=0, limit=100)
    assert [str(event.type) for event in events].count("block.done") == 1


async def test_s4_a_stale_run_that_commits_first_is_refused_as_well(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    """The block is leased under the next epoch, and its new owner has written nothing yet."""
    job = await open_job(stores, namespace.scope, objects=5)
    await submit(stores, job)
    held, slow = Held(stores), Held(stores)
    async with inline_engine(stores, held) as stale, inline_engine(stores, slow) as fresh:
        await reconcile(stores, stale, job.batch_id)
        await asyncio.wait_for(held.begun.wait(), 20)
        await lapse(job)
        await reconcile(stores, fresh, job.batch_id)
        await asyncio.wait_for(slow.begun.wait(), 20)

        held.go.set()
        await asyncio.wait_for(asyncio.gather(*stale.runs, return_exceptions=True), 20)
        assert await job.documents() == []
        assert (await job.batch()).counts.documents_written == 0
        assert [block.status for block in await job.blocks()] == ["LEASED"]

        slow.go.set()
        await asyncio.wait_for(asyncio.gather(*fresh.runs), 20)

    assert {document.epoch for document in await job.documents()} == {2}
    assert [block.output is not None for block in await job.blocks()] == [True]


async def test_s9_a_stale_run_is_refused_in_its_very_last_step(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    """Artifact and points are written, every earlier question was answered with yes."""
    job = await open_job(stores, namespace.scope, objects=5)
    await submit(stores, job)
    begun, go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await go.wait()

    held = before(stores, "database", "transaction", hold)
    async with inline_engine(held) as stale, inline_engine(stores) as fresh:
        await reconcile(stores, stale, job.batch_id)
        await asyncio.wait_for(begun.wait(), 20)
        await lapse(job)
        await reconcile(stores, fresh, job.batch_id)
        await asyncio.wait_for(asyncio.gather(*fresh.runs), 20)
        after_the_fresh = (await job.batch(), await job.blocks(), await job.documents())

        go.set()
        await asyncio.wait_for(asyncio.gather(*stale.runs, return_exceptions=True), 20)

    assert (await job.batch(), await job.blocks(), await job.documents()) == after_the_fresh
    assert {document.epoch for document in after_the_fresh[2]} == {2}
    assert len([key for key in await stored_keys(stores, job) if "/output/" in key]) == 2
    assert (await job.history())[-3:] == ["batch.handed_over", "block.done", "tier.completed"]
