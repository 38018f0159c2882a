"""The log of a namespace as the product writes it: every change tells, in one order."""

import asyncio

import pytest
from pymongo.errors import PyMongoError

from models.batch import Batch, change_batch
from models.database import Session
from models.ending import end_tasks
from models.event_log import read_entries
from models.events import Entry, Event, EventType, SubjectType, read_events
from models.object import Object
from models.states import BatchStatus
from models.stores import Stores
from tests.factories import make_bucket, store
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import inline_engine, open_job, submit
from workers.batches import delete_batch, reconcile
from workers.couriers import Couriers
from workers.events import Readers, publish
from workers.intake import ObjectDraft, register_objects
from workers.outbox import listen_to_log, sweep_outbox

READ = 1000


async def published(stores: Stores, namespace: NamespaceOfTest) -> list[Entry]:
    await publish(stores, namespace.id)
    return await read_entries(namespace.id, after=0, limit=READ)


async def run_job(stores: Stores, namespace: NamespaceOfTest, collections: int = 1) -> Batch:
    job = await open_job(stores, namespace.scope, objects=3, collections=collections)
    await submit(stores, job)
    async with inline_engine(stores) as engine:
        async with asyncio.timeout(20):
            while (batch := await job.batch()).status != BatchStatus.COMPLETED:
                await reconcile(stores, engine, job.batch_id)
                await asyncio.sleep(0.02)
    return batch


async def test_a_batch_tells_of_its_tiers_and_of_the_documents_it_wrote(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_job(stores, namespace, collections=2)

    entries = await published(stores, namespace)

    tiers = [e.data["tier"] for e in entries if e.type == EventType.TIER_COMPLETED]
    assert tiers == [0, 1] == batch.completed_tiers
    written = [e for e in entries if e.type == EventType.DOCUMENTS_WRITTEN]
    assert [e.data["documentsWritten"] for e in written] == [3, 3]
    assert [e.subject for e in written] == [
        (SubjectType.COLLECTION, tier.collection_ids[0]) for tier in batch.tiers
    ]
    own = [entry.sequence for entry in entries if isinstance(entry, Event)]
    assert own == list(range(1, batch.sequence + 1))
    assert entries[-1].type == EventType.BATCH_COMPLETED
    assert set(entries[-1].collection_ids) == {e.subject[1] for e in written}


async def test_one_notice_tells_of_all_objects_of_a_call_but_no_bad_row(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket_id = await open_bucket_of(namespace)
    drafts = [ObjectDraft(key, {}, ()) for key in ("a", "b", "a", None)]

    made = await register_objects(stores, namespace.scope, bucket_id, drafts)
    again = await register_objects(stores, namespace.scope, bucket_id, drafts)

    good = [[one.id for one in answers if isinstance(one, Object)] for answers in (made, again)]
    assert [len(ids) for ids in good] == [3, 1]
    entries = await published(stores, namespace)
    assert [entry.data["objectIds"] for entry in entries] == good
    assert {entry.subject for entry in entries} == {(SubjectType.BUCKET, bucket_id)}
    assert await namespace.scope.count(Object) == 4


async def test_objects_whose_notice_cannot_be_written_are_not_there(
    stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket_id = await open_bucket_of(namespace)

    async def fail(*_: object, **__: object) -> None:
        raise PyMongoError("gone")

    monkeypatch.setattr("workers.object_log.append_notice", fail)
    with pytest.raises(PyMongoError):
        await register_objects(stores, namespace.scope, bucket_id, [ObjectDraft("a", {}, ())])

    assert await namespace.scope.count(Object) == 0


async def test_a_change_that_comes_to_nothing_leaves_no_event(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    before = await job.batch(), await read_events(job.batch_id, after=0, limit=READ)

    async def work(session: Session) -> None:
        await change_batch(session, {"_id": job.batch_id}, {}, EventType.OBJECTS_ADDED)
        raise ProcessLookupError

    with pytest.raises(ProcessLookupError):
        await stores.database.transaction(work)

    assert (await job.batch(), await read_events(job.batch_id, after=0, limit=READ)) == before


async def test_a_deleted_batch_leaves_a_notice(stores: Stores, namespace: NamespaceOfTest) -> None:
    job = await open_job(stores, namespace.scope)

    await delete_batch(stores, namespace.scope, job.batch_id)

    entries = await published(stores, namespace)
    assert (entries[-1].type, entries[-1].subject[1]) == (EventType.BATCH_DELETED, job.batch_id)


async def test_the_sweep_publishes_what_no_ring_announced(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    await open_bucket_with_object(stores, namespace)
    couriers = Couriers(stores)

    await sweep_outbox(stores, couriers, Readers())
    await couriers.aclose()

    assert len(await read_entries(namespace.id, after=0, limit=READ)) == 1


async def test_a_listener_publishes_as_soon_as_it_is_rung(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    channel = stores.bus.placed_channel(namespace.id)
    async with stores.bus.listen(channel) as listener:
        listening = asyncio.create_task(listen_to_log(stores, Readers()))
        try:
            await open_bucket_with_object(stores, namespace)
            async with asyncio.timeout(20):
                while not await listener.wait(0.5):
                    await stores.bus.announce_log(namespace.id)
        finally:
            await end_tasks(listening)

    assert len(await read_entries(namespace.id, after=0, limit=READ)) == 1


async def open_bucket_of(namespace: NamespaceOfTest) -> str:
    bucket = make_bucket(namespace.id)
    await store(bucket)
    return bucket.id


async def open_bucket_with_object(stores: Stores, namespace: NamespaceOfTest) -> None:
    bucket_id = await open_bucket_of(namespace)
    await register_objects(stores, namespace.scope, bucket_id, [ObjectDraft("a", {}, ())])
