import asyncio

import pytest

from models.batch import Batch
from models.batch_member import BatchMember
from models.block import Block
from models.document import Document
from models.errors import IllegalTransition, InvalidInput, NotFound
from models.events import Event, read_events
from models.ids import new_id
from models.row_error import RowError
from models.scope import Scope
from models.states import BatchStatus
from models.stores import Stores
from models.task import Task
from tests.factories import make_batch, make_block, make_document, make_task, store
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import Job, add_objects_to, open_job, stored_keys, submit
from workers.batches import (
    MAX_OBJECT_IDS,
    add_objects,
    cancel_batch,
    delete_batch,
    open_batch,
)  # fmt: skip
from workers.intake import open_bucket


async def members(job: Job) -> list[str]:
    found = await job.scope.all(BatchMember, {"batch_id": job.batch_id})
    return sorted(member.object_id for member in found)


async def test_a_draft_holds_its_objects(stores: Stores, namespace: NamespaceOfTest) -> None:
    job = await open_job(stores, namespace.scope, objects=3)

    batch = await job.batch()

    assert (batch.status, batch.counts.objects, batch.members_revision) == ("DRAFT", 3, 1)
    assert await members(job) == sorted(job.object_ids)
    events = await read_events(job.batch_id, after=0, limit=9)
    assert [event.data for event in events] == [{}, {"added": 3}]


async def test_objects_added_twice_are_in_once(stores: Stores, namespace: NamespaceOfTest) -> None:
    job = await open_job(stores, namespace.scope, objects=3)
    more = await add_objects_to(stores, job.scope, job.bucket, [{"number": 9}])

    batch, added = await add_objects(
        stores, job.scope, job.batch_id, [*job.object_ids, *more, *more]
    )
    again, none = await add_objects(stores, job.scope, job.batch_id, job.object_ids)
    _, nothing = await add_objects(stores, job.scope, job.batch_id, [])

    assert (added, none, nothing) == (1, 0, 0)
    assert (batch.counts.objects, again.counts.objects) == (4, 4)
    assert again.sequence == batch.sequence == 3


async def test_adding_the_same_objects_at_once_counts_each_once(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=0)
    ids = await add_objects_to(stores, job.scope, job.bucket, [{"number": n} for n in range(30)])
    parts = [ids[at : at + 15] for at in range(0, 20, 5)]

    answers = await asyncio.gather(
        *(add_objects(stores, job.scope, job.batch_id, part) for part in parts)
    )

    assert sum(added for _, added in answers) == 30
    assert (await job.batch()).counts.objects == 30
    assert len(await members(job)) == 30
    assert (await job.history())[0] == "batch.created"


@pytest.mark.parametrize("case", ["unknown", "foreign", "other bucket", "surrogate"])
async def test_an_id_that_is_no_object_of_the_bucket_is_named(
    stores: Stores, namespace: NamespaceOfTest, case: str
) -> None:
    job = await open_job(stores, namespace.scope, objects=2)
    stranger = Scope(new_id("ns") if case == "foreign" else namespace.id)
    other = await open_bucket(stranger, "other", description="", fields=[])
    [strange_id] = await add_objects_to(stores, stranger, other, [{"number": 1}])
    wrong = {"unknown": new_id("obj"), "surrogate": "obj_\ud800"}.get(case, strange_id)

    ids = [*job.object_ids, wrong]
    with pytest.raises(InvalidInput, match="is no object of bucket") as refused:
        await add_objects(stores, job.scope, job.batch_id, ids)
    with pytest.raises(InvalidInput):
        await open_batch(
            stores, job.scope, bucket_id=job.bucket.id, name="", metadata={}, object_ids=ids
        )

    assert refused.value.path == ("objectIds", "2")
    assert await job.scope.count(Batch) == 1
    assert (await job.batch()).counts.objects == 2


async def test_a_call_takes_so_many_ids_and_no_more(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=1)
    ids = job.object_ids * (MAX_OBJECT_IDS + 1)

    with pytest.raises(InvalidInput, match="at most 1000"):
        await add_objects(stores, job.scope, job.batch_id, ids)
    assert (await add_objects(stores, job.scope, job.batch_id, ids[1:]))[1] == 0


@pytest.mark.parametrize("status", sorted(set(BatchStatus) - {"DRAFT"}))
async def test_nothing_is_added_to_what_was_submitted(
    stores: Stores, namespace: NamespaceOfTest, status: BatchStatus
) -> None:
    batch = make_batch(namespace.id, status=status)
    await store(batch)

    with pytest.raises(IllegalTransition, match=f"is {status}") as refused:
        await add_objects(stores, namespace.scope, batch.id, [])

    assert refused.value.path == ("batchId",)


async def test_unknown_and_foreign_batches_read_the_same(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    stranger = Scope(new_id("ns"))

    for batch_id in (job.batch_id, new_id("btc")):
        for call in (
            add_objects(stores, stranger, batch_id, []),
            cancel_batch(stores, stranger, batch_id),
            delete_batch(stores, stranger, batch_id),
        ):
            with pytest.raises(NotFound, match=f"No batch '{batch_id}' here"):
                await call
    with pytest.raises(NotFound, match="No bucket"):
        await open_batch(
            stores, stranger, bucket_id=job.bucket.id, name="", metadata={}, object_ids=[]
        )
    assert (await job.batch()).status == "DRAFT"


async def test_a_draft_is_deleted_and_not_canceled(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)

    with pytest.raises(IllegalTransition) as refused:
        await cancel_batch(stores, job.scope, job.batch_id)

    assert "deleteBatch" in refused.value.hint
    assert (await job.batch()).status == "DRAFT"
    await delete_batch(stores, job.scope, job.batch_id)
    assert await members(job) == []
    with pytest.raises(NotFound):
        await delete_batch(stores, job.scope, job.batch_id)


async def test_a_queued_batch_is_canceled_before_it_starts(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, collections=2)
    task = (await submit(stores, job)).task

    batch = await cancel_batch(stores, job.scope, job.batch_id)

    assert (batch.status, batch.blocks_open, batch.reason) == ("CANCELED", 0, None)
    assert batch.finished_at is not None
    assert {block.status for block in await job.blocks()} == {"CANCELED"}
    after = await job.scope.require(Task, task.id)
    assert (after.status, after.finished_at is not None) == ("CANCELED", True)
    assert (await job.history())[-2:] == ["batch.canceling", "batch.canceled"]


@pytest.mark.parametrize("status", ["CANCELED", "COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED"])
async def test_a_cancel_that_comes_too_late_answers_with_the_end(
    stores: Stores, namespace: NamespaceOfTest, status: str
) -> None:
    batch = make_batch(namespace.id, status=status)
    await store(batch)

    assert await cancel_batch(stores, namespace.scope, batch.id) == batch
    assert await read_events(batch.id, after=0, limit=9) == []


async def test_cancels_at_once_are_one(stores: Stores, namespace: NamespaceOfTest) -> None:
    job = await open_job(stores, namespace.scope)
    await submit(stores, job)

    await asyncio.gather(*(cancel_batch(stores, job.scope, job.batch_id) for _ in range(6)))

    assert (await job.batch()).status == "CANCELED"
    assert (await job.history())[-2:] == ["batch.canceling", "batch.canceled"]


@pytest.mark.parametrize("status", ["QUEUED", "PROCESSING", "CANCELING"])
async def test_a_live_batch_is_not_deleted(
    stores: Stores, namespace: NamespaceOfTest, status: str
) -> None:
    batch = make_batch(namespace.id, status=status)
    await store(batch)

    with pytest.raises(IllegalTransition, match=f"is {status}") as refused:
        await delete_batch(stores, namespace.scope, batch.id)

    assert refused.value.hint == "Cancel it first."
    assert await namespace.scope.find(Batch, batch.id) == batch
    await Batch.get_pymongo_collection().delete_one({"_id": batch.id})


async def test_deleting_forgets_the_batch_and_keeps_what_its_documents_are_made_of(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=20)
    await submit(stores, job)
    assert len(await stored_keys(stores, job)) == 1
    batch = await job.batch()
    done = make_block(batch, status="DONE")
    error = RowError(
        id=new_id("err"), namespace_id=namespace.id, batch_id=batch.id, collection_id="",
        block_id="", category="RUNTIME", extractor="", message="",
    )  # fmt: skip
    other = make_task(make_batch(namespace.id))
    await store(done, make_document(done), error, other)
    await Batch.get_pymongo_collection().update_one(
        {"_id": batch.id}, {"$set": {"status": "COMPLETED"}}
    )

    await delete_batch(stores, job.scope, job.batch_id)

    for model in (Batch, BatchMember, RowError):
        assert await job.scope.count(model) == 0, model
    assert await job.scope.count(Event, {"batch_id": job.batch_id}) == 0
    assert [task.id for task in await job.scope.all(Task)] == [other.id]
    assert [block.id for block in await job.scope.all(Block)] == [done.id]
    assert await job.scope.count(Document) == 1
    assert await stored_keys(stores, job) == set()
