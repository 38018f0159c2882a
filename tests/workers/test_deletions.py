"""Deletions: what refuses them, what they remove, and that a kill at any step costs nothing."""

from dataclasses import replace
from typing import Any

import pytest

from engine.writer import commit_block
from models.artifacts import output_key
from models.batch import Batch
from models.block import Block
from models.bucket import Bucket
from models.collection import Collection
from models.document import Document
from models.errors import Conflict, InUse, NotFound, StaleBlock, StoreUnavailable
from models.ids import new_id
from models.object import Object
from models.scope import Scope
from models.states import Lifecycle
from models.stores import Stores
from models.task import Task
from tests.engine.batches import claim
from tests.engine.writing import take, write
from tests.factories import make_batch, make_bucket, make_collection, store
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import (
    Job,
    add_objects_to,
    before,
    inline_engine,
    open_job,
    stored_keys,
    submit,
)
from workers import deletions, intake
from workers.batches import open_batch, reconcile
from workers.deletions import delete_bucket, delete_collection
from workers.orphans import output_keys
from workers.tasks import run_task


class Killed(BaseException):
    """Ends a process as kill -9 does: nothing handles it."""


async def die() -> None:
    raise Killed


def impatient(stores: Stores) -> Stores:
    """Return the stores with leases that are over at once."""
    worker = stores.settings.worker.model_copy(update={"lease_seconds": 0.001})
    return replace(stores, settings=stores.settings.model_copy(update={"worker": worker}))


async def completed_job(stores: Stores, namespace: NamespaceOfTest, **values: Any) -> Job:
    job = await open_job(stores, namespace.scope, **values)
    await submit(stores, job)
    async with inline_engine(stores) as engine:
        await reconcile(stores, engine, job.batch_id)
        await engine.runs[0]
        await reconcile(stores, engine, job.batch_id)
    assert (await job.batch()).status == "COMPLETED"
    return job


async def ended(stores: Stores, task: Task) -> Task:
    await run_task(stores, task.id)
    found = await Scope(task.namespace_id).require(Task, task.id)
    assert found.finished_at is not None
    return found


async def test_a_bucket_goes_with_its_objects_drafts_and_manifests(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await completed_job(stores, namespace, objects=5)
    scope = namespace.scope
    draft = await open_batch(
        stores, scope, bucket_id=job.bucket.id, name="", metadata={}, object_ids=[]
    )

    task = await ended(stores, await delete_bucket(stores, scope, job.bucket.id))

    assert (task.status, task.error_message) == ("COMPLETED", None)
    assert await scope.find(Bucket, job.bucket.id) is None
    assert await scope.find(Batch, draft.id) is None
    assert await scope.count(Object) == 0
    assert all("/output/" in key for key in await stored_keys(stores, job))
    assert (await job.batch()).artifacts == []
    assert len(await job.documents()) == 5


async def test_a_collection_goes_with_its_documents_outputs_and_points(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await completed_job(stores, namespace, objects=5, collections=2)
    first, last = job.collections
    outputs = {key for key in await stored_keys(stores, job) if "/output/" in key}
    assert len(outputs) == 2

    task = await ended(stores, await delete_collection(stores, namespace.scope, last.id))

    assert task.status == "COMPLETED"
    assert await namespace.scope.find(Collection, last.id) is None
    assert await namespace.scope.count(Document, {"collection_id": last.id}) == 0
    assert len(await job.documents(0)) == 5
    kept = {block.collection_id: block.output for block in await job.blocks()}
    assert kept[first.id] is not None
    assert kept[last.id] is None
    left = {key for key in await stored_keys(stores, job) if "/output/" in key}
    assert len(left) == 1
    assert left < outputs


@pytest.mark.parametrize(
    ("marks", "step"), [(0, "documents"), (2, "documents"), (3, "artifacts"), (4, "vectors")]
)
async def test_a_deletion_that_is_killed_goes_on_where_it_was(
    stores: Stores,
    namespace: NamespaceOfTest,
    monkeypatch: pytest.MonkeyPatch,
    marks: int,
    step: str,
) -> None:
    """Killed after so many steps, by a worker whose lease then runs out."""
    monkeypatch.setattr(deletions, "_CHUNK", 2)
    job = await completed_job(stores, namespace, objects=6)
    collection = job.collections[0]
    task = await delete_collection(stores, namespace.scope, collection.id)
    left = marks

    async def die_later() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    with pytest.raises(Killed):
        await run_task(before(impatient(stores), "bus", "announce_task", die_later), task.id)
    half = await namespace.scope.require(Task, task.id)
    assert (half.status, half.progress.step) == ("PROCESSING", step)
    documents = await namespace.scope.count(Document, {"collection_id": collection.id})
    assert documents == (6 - half.progress.done if step == "documents" else 0)

    assert (await ended(stores, task)).epoch == 2
    assert await namespace.scope.find(Collection, collection.id) is None
    assert await namespace.scope.count(Document, {"collection_id": collection.id}) == 0
    assert not any("/output/" in key for key in await stored_keys(stores, job))


async def test_a_store_that_fails_is_waited_for(stores: Stores, namespace: NamespaceOfTest) -> None:
    job = await completed_job(stores, namespace)
    task = await delete_collection(stores, namespace.scope, job.collections[0].id)

    await run_task(before(stores, "vectors", "drop", unavailable), task.id)

    waiting = await namespace.scope.require(Task, task.id)
    assert (waiting.status, waiting.error_message) == ("PROCESSING", "Qdrant is away.")
    assert await namespace.scope.find(Collection, job.collections[0].id) is not None


async def unavailable() -> None:
    raise StoreUnavailable("Qdrant is away.")


async def test_outputs_of_every_attempt_are_named() -> None:
    batch = make_batch(new_id("ns"))
    block = Block(
        id=new_id("blk"), namespace_id=batch.namespace_id, batch_id=batch.id, submission="sub_1",
        collection_id=new_id("col"), tier=0, ordinal=0, status="FAILED", epoch=3,
    )  # fmt: skip

    keys = output_keys(block)

    assert keys == [
        output_key(batch.namespace_id, batch.id, "sub_1", block_id=block.id, epoch=epoch)
        for epoch in (1, 2, 3)
    ]


async def test_live_batches_are_in_the_way_unless_forced(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    await submit(stores, job)
    scope, collection_id = namespace.scope, job.collections[0].id

    with pytest.raises(InUse, match=job.batch_id):
        await delete_bucket(stores, scope, job.bucket.id)
    with pytest.raises(InUse, match=job.batch_id):
        await delete_collection(stores, scope, collection_id)
    assert (await scope.require(Bucket, job.bucket.id)).lifecycle is Lifecycle.ACTIVE

    await ended(stores, await delete_bucket(stores, scope, job.bucket.id, force=True))
    assert (await job.batch()).status == "CANCELED"
    assert await scope.count(Object) == 0


async def test_a_collection_that_others_read_stays_even_when_forced(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, collections=2)

    with pytest.raises(InUse, match="collection 1"):
        await delete_collection(stores, namespace.scope, job.collections[0].id, force=True)


async def test_asking_again_answers_with_the_same_task(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket)

    first = await delete_bucket(stores, namespace.scope, bucket.id)
    again = await delete_bucket(stores, namespace.scope, bucket.id)

    assert again.id == first.id
    await ended(stores, first)
    with pytest.raises(NotFound):
        await delete_bucket(stores, namespace.scope, bucket.id)


async def test_nothing_new_refers_to_what_is_being_deleted(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    scope, bucket_id = namespace.scope, job.bucket.id
    await delete_bucket(stores, scope, bucket_id)

    with pytest.raises(Conflict, match="being deleted"):
        await add_objects_to(stores, scope, job.bucket, [{}])
    with pytest.raises(Conflict, match="being deleted"):
        await open_batch(stores, scope, bucket_id=bucket_id, name="", metadata={}, object_ids=[])
    with pytest.raises(Conflict, match="being deleted"):
        await submit(stores, job)


async def test_objects_that_arrive_while_the_deletion_begins_are_taken_back(
    stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket)
    write = intake._write

    async def delete_then_write(*arguments: Any) -> None:
        await ended(stores, await delete_bucket(stores, namespace.scope, bucket.id))
        await write(*arguments)

    monkeypatch.setattr(intake, "_write", delete_then_write)

    with pytest.raises(Conflict):
        await add_objects_to(stores, namespace.scope, bucket, [{}, {}])
    assert await namespace.scope.count(Object) == 0


async def test_a_block_that_commits_late_brings_nothing_back(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    """The batch was not canceled, as if its submit had won a race with the deletion."""
    job = await open_job(stores, namespace.scope)
    await submit(stores, job)
    batch = await claim(stores, job.batch_id)
    writing = await write(stores, await take(stores, batch, job.collections[0]))
    collections = Collection.get_pymongo_collection()
    await collections.update_one(
        {"_id": job.collections[0].id}, {"$set": {"lifecycle": str(Lifecycle.DELETING)}}
    )

    with pytest.raises(StaleBlock):
        await commit_block(stores, writing.work, writing.stored)

    assert await job.documents() == []
    assert [str(block.status) for block in await job.blocks()] == ["LEASED"]
    assert (await job.batch()).counts.documents_written == 0


async def test_foreign_things_are_not_there(stores: Stores, namespace: NamespaceOfTest) -> None:
    bucket = make_bucket(namespace.id)
    collection = make_collection(bucket)
    await store(bucket, collection)
    stranger = Scope(new_id("ns"))

    with pytest.raises(NotFound):
        await delete_bucket(stores, stranger, bucket.id)
    with pytest.raises(NotFound):
        await delete_collection(stores, stranger, collection.id)
