"""A collection that is filled again: over what, what may be read meanwhile, what a kill costs."""

from collections import Counter
from typing import Any

import pytest

from models.batch import Batch
from models.collection import Source
from models.errors import InvalidInput, NotFound
from models.object import Object
from models.scope import Scope
from models.stores import Stores
from models.task import Task
from tests.factories import make_bucket, make_collection, store
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import (
    InlineEngine,
    Job,
    add_objects_to,
    inline_engine,
    make_draft,
    open_job,
    submit,
)
from workers import reprocessing
from workers.batches import reconcile
from workers.collections import open_collection
from workers.reprocessing import Reprocessed, begin_reprocessing
from workers.tasks import run_task


class Killed(BaseException):
    """Ends a process as kill -9 does: nothing handles it."""


async def run(stores: Stores, engine: InlineEngine, batch_id: str) -> Batch:
    await reconcile(stores, engine, batch_id)
    await engine.runs[-1]
    await reconcile(stores, engine, batch_id)
    batch = await Batch.get(batch_id)
    assert batch is not None
    assert batch.status == "COMPLETED", batch.error_message
    return batch


async def begin(stores: Stores, job: Job, collection: int = 0, **values: Any) -> tuple[Batch, Task]:
    usual: dict[str, Any] = {"objects": Reprocessed.HELD, "reuse": True}
    return await begin_reprocessing(
        stores, job.scope, job.collections[collection].id, **{**usual, **values}
    )


async def ended(stores: Stores, task: Task) -> Task:
    await run_task(stores, task.id)
    return await Scope(task.namespace_id).require(Task, task.id)


@pytest.mark.parametrize("reuse", [True, False])
async def test_documents_are_made_again_and_stay_readable_until_then(
    stores: Stores, namespace: NamespaceOfTest, reuse: bool
) -> None:
    job = await open_job(stores, namespace.scope, objects=5)
    other = await open_collection(job.scope, make_draft(Source(bucket_id=job.bucket.id), "other"))
    await submit(stores, job)
    async with inline_engine(stores) as engine:
        await run(stores, engine, job.batch_id)
        before = await job.documents()
        await add_objects_to(stores, job.scope, job.bucket, [{"number": 9}])  # not held

        batch, task = await begin(stores, job, reuse=reuse)
        task = await ended(stores, task)
        meanwhile = await job.documents()
        again = await run(stores, engine, batch.id)

    after = await job.documents()
    assert (task.status, task.progress.done) == ("COMPLETED", 5)
    assert [one.to_mongo() for one in meanwhile] == [one.to_mongo() for one in before]
    assert [one.id for one in after] == [one.id for one in before]
    assert {one.batch_id for one in after} == {batch.id}
    assert (again.reuse, again.counts.documents_written) == (reuse, 5)
    assert [tier.collection_ids for tier in again.tiers] == [[job.collections[0].id]]
    assert other.id not in str(again.tiers)


async def test_all_of_the_bucket_and_what_is_made_of_the_collection(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=3, collections=3)
    await submit(stores, job)
    async with inline_engine(stores) as engine:
        await run(stores, engine, job.batch_id)
        await add_objects_to(stores, job.scope, job.bucket, [{"number": 9}])
        [gone] = await job.scope.all(Object, {"_id": job.object_ids[0]})
        await Object.get_pymongo_collection().delete_one({"_id": gone.id})

        batch, task = await begin(stores, job, 1, objects=Reprocessed.BUCKET, priority=4)
        await ended(stores, task)
        again = await run(stores, engine, batch.id)

    assert again.counts.objects == 3  # one is gone, one is new
    assert again.priority == 4
    ids = [one.id for one in job.collections]
    assert [tier.collection_ids for tier in again.tiers] == [[one] for one in ids]


async def test_a_task_that_is_killed_goes_on(
    stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after each of its steps: with pages of two, twice while adding, then after submit."""
    monkeypatch.setattr(reprocessing, "_AT_ONCE", 2)
    job = await open_job(stores, namespace.scope, objects=5)
    batch, task = await begin(stores, job, objects=Reprocessed.BUCKET)
    calls = Counter[str]()

    def deadly(name: str, deaths: int) -> None:
        real = getattr(reprocessing, name)

        async def dying(*arguments: Any, **values: Any) -> Any:
            found = await real(*arguments, **values)
            calls[name] += 1
            if calls[name] <= deaths:
                raise Killed
            return found

        monkeypatch.setattr(reprocessing, name, dying)

    deadly("add_objects", 2)
    deadly("submit_batch", 1)
    for _ in range(3):
        with pytest.raises(Killed):
            await run_task(stores, task.id)
        await Task.get_pymongo_collection().update_one(
            {"_id": task.id}, {"$set": {"lease_until": task.lease_until}}
        )

    done = await ended(stores, task)

    found = await job.scope.require(Batch, batch.id)
    assert (done.status, done.error_message) == ("COMPLETED", None)
    assert (found.status, found.counts.objects) == ("QUEUED", 5)


async def test_with_nothing_to_process_the_task_says_so_and_no_draft_stays(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=1)

    batch, task = await begin(stores, job)
    done = await ended(stores, task)

    assert done.status == "FAILED"
    assert "no objects" in (done.error_message or "")
    assert await job.scope.find(Batch, batch.id) is None


async def test_what_is_made_of_two_buckets_is_refused(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    buckets = [make_bucket(namespace.id) for _ in range(2)]
    first, second = (make_collection(one) for one in buckets)
    both = make_collection([first, second])
    await store(*buckets, first, second, both)
    choice: dict[str, Any] = {"objects": Reprocessed.HELD, "reuse": True}

    with pytest.raises(InvalidInput, match="2 buckets"):
        await begin_reprocessing(stores, namespace.scope, both.id, **choice)
    with pytest.raises(NotFound):
        await begin_reprocessing(stores, Scope("ns_other"), first.id, **choice)
