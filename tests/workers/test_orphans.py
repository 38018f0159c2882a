"""What lost attempts left on S3 goes, a day after the batch has ended, and nothing else."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from models.artifacts import manifest_key, media_key, output_key, sha256_of
from models.batch import Batch
from models.block import Block
from models.stored import now
from models.stores import Stores
from tests.factories import make_row_error, store
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import Job, inline_engine, open_job, stored_keys, submit
from workers.batches import delete_batch, reconcile
from workers.orphans import collect_orphans
from workers.reopening import RetryChoice, RetryMode
from workers.retries import retry_batch


@pytest.fixture(autouse=True)
async def only_ours(stores: Stores) -> None:
    """A sweep looks at every batch there is: leave it those of the test alone."""
    await Batch.get_pymongo_collection().delete_many({})


async def run_to_end(stores: Stores, job: Job) -> None:
    async with inline_engine(stores) as engine:
        await reconcile(stores, engine, job.batch_id)
        await asyncio.wait_for(asyncio.gather(*engine.runs), 20)
        await reconcile(stores, engine, job.batch_id)
    assert (await job.batch()).status == "COMPLETED"


async def ended(stores: Stores, namespace: NamespaceOfTest) -> Job:
    job = await open_job(stores, namespace.scope, objects=3)
    await submit(stores, job)
    await run_to_end(stores, job)
    return job


async def fail(job: Job) -> None:
    """Let a batch have failed with its block."""
    failed = {"$set": {"status": "FAILED"}}
    await Batch.get_pymongo_collection().update_one({"_id": job.batch_id}, failed)
    await Block.get_pymongo_collection().update_many({"batch_id": job.batch_id}, failed)
    (block,) = await job.blocks()
    await store(make_row_error(await job.batch(), block_id=block.id, rows=3))


async def put(stores: Stores, path: Path, *keys: str) -> set[str]:
    await asyncio.to_thread(path.write_bytes, b"left")
    for key in keys:
        await stores.artifacts.create(key, path, sha256=sha256_of(path))
    return set(keys)


async def lost(stores: Stores, job: Job, path: Path) -> set[str]:
    """Leave what a lost submit and a lost attempt leave; return their keys."""
    (block,) = await job.blocks()
    place = (job.scope.namespace_id, job.batch_id)
    output = output_key(*place, block.submission, block_id=block.id, epoch=block.epoch + 1)
    await Block.get_pymongo_collection().update_one({"_id": block.id}, {"$inc": {"epoch": 1}})
    manifest = manifest_key(*place, "sub_lost", extractor="passthrough@v1", part=0)
    return await put(stores, path, output, manifest)


async def let_pass(job: Job, hours: float) -> None:
    past = {"$set": {"finished_at": now() - timedelta(hours=hours)}}
    await Batch.get_pymongo_collection().update_one({"_id": job.batch_id}, past)


async def test_files_of_lost_attempts_go_and_what_is_referred_to_stays(
    stores: Stores, namespace: NamespaceOfTest, tmp_path: Path
) -> None:
    job = await ended(stores, namespace)
    (block,) = await job.blocks()
    media = media_key(namespace.id, job.batch_id, block.submission, sha256="0" * 64)
    kept = await stored_keys(stores, job) | await put(stores, tmp_path / "file", media)
    gone = await lost(stores, job, tmp_path / "file")
    assert await stored_keys(stores, job) == kept | gone

    await let_pass(job, hours=25)
    await collect_orphans(stores)

    assert await stored_keys(stores, job) == kept


async def test_a_batch_that_ended_today_is_left_alone(
    stores: Stores, namespace: NamespaceOfTest, tmp_path: Path
) -> None:
    job = await ended(stores, namespace)
    gone = await lost(stores, job, tmp_path / "file")

    await let_pass(job, hours=23)
    await collect_orphans(stores)

    assert gone < await stored_keys(stores, job)


async def test_each_batch_is_looked_at_once_and_again_when_it_was_retried(
    stores: Stores, namespace: NamespaceOfTest, tmp_path: Path
) -> None:
    job = await ended(stores, namespace)
    await let_pass(job, hours=25)
    await collect_orphans(stores)
    gone = await lost(stores, job, tmp_path / "file")
    await collect_orphans(stores)
    assert gone < await stored_keys(stores, job)

    await fail(job)
    await retry_batch(stores, namespace.scope, job.batch_id, RetryChoice(RetryMode.ALL))
    await collect_orphans(stores)  # it is live
    assert gone < await stored_keys(stores, job)
    await run_to_end(stores, job)
    await let_pass(job, hours=25)
    await collect_orphans(stores)

    (block,) = await job.blocks()
    assert block.output is not None
    outputs = {key for key in await stored_keys(stores, job) if "/output/" in key}
    assert outputs == {block.output.key}


async def test_a_deleted_batch_leaves_its_committed_outputs_only(
    stores: Stores, namespace: NamespaceOfTest, tmp_path: Path
) -> None:
    job = await ended(stores, namespace)
    (block,) = await job.blocks()
    await lost(stores, job, tmp_path / "file")

    await delete_batch(stores, namespace.scope, job.batch_id)

    assert block.output is not None
    assert await stored_keys(stores, job) == {block.output.key}
