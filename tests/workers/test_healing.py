"""Damage in MongoDB, of every kind, and the sweep alone that finishes the batch all the same."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.inline_pool import InlinePools
from models import metrics
from models.batch import Batch
from models.block import Block
from models.events import EventType, read_events
from models.healing import Damage, take_quiet_batch
from models.schedule import Schedule, ScheduleRun
from models.stored import now
from models.stores import Stores
from tests.factories import make_batch, make_block, make_reader, store
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import InlineEngine, Job, inline_engine, open_job, submit
from workers.batches import reconcile
from workers.healing import heal_batch, heal_quiet_batches
from workers.steering import pause_batch
from workers.sweeps import sweep

FAR_AWAY = datetime(2100, 1, 1, tzinfo=UTC)
STUCK_SECONDS = 0.1
Harm = Callable[[Job], Awaitable[None]]


@pytest.fixture(autouse=True)
async def only_ours(stores: Stores) -> None:
    """A sweep looks at every batch and schedule there is: leave it those of the test alone."""
    for model in (Batch, Schedule, ScheduleRun):
        await model.get_pymongo_collection().delete_many({})


@pytest.fixture
def impatient(stores: Stores) -> Stores:
    """Stores whose batches count as stuck after an instant."""
    worker = stores.settings.worker.model_copy(update={"stuck_seconds": STUCK_SECONDS})
    return replace(stores, settings=stores.settings.model_copy(update={"worker": worker}))


async def change_batch_of(job: Job, change: dict[str, Any]) -> None:
    await Batch.get_pymongo_collection().update_one({"_id": job.batch_id}, change)


async def change_block(job: Job, place: int, **values: Any) -> None:
    block = (await job.blocks())[place]
    await Block.get_pymongo_collection().update_one({"_id": block.id}, {"$set": values})


async def counts_one_too_many(job: Job) -> None:
    await change_batch_of(job, {"$inc": {"blocks_open": 1}})


async def counts_one_too_few(job: Job) -> None:
    await change_batch_of(job, {"$inc": {"blocks_open": -1}})


async def counts_other_blocks(job: Job) -> None:
    await change_batch_of(job, {"$inc": {"blocks_total": 7, "blocks_open": 7}})


async def waits_for_nothing(job: Job) -> None:
    await change_block(job, 1, waits_for=[])


async def waits_for_another(job: Job) -> None:
    await change_block(job, 1, waits_for=["blk_other"])


async def waits_for_what_is_gone(job: Job) -> None:
    await change_block(job, 1, reads=["blk_gone"], waits_for=["blk_gone"])


async def is_held_by_no_hold(job: Job) -> None:
    await change_block(job, 0, held=True)


async def a_block_is_leased_for_ages(job: Job) -> None:
    await change_block(job, 0, status="LEASED", owner="gone", lease_until=FAR_AWAY)


async def the_batch_is_leased_for_ages(job: Job) -> None:
    await change_batch_of(job, {"$set": {"lease_until": FAR_AWAY}})


async def nobody_claims(job: Job) -> None:
    """As if a conductor renewed the batch and did nothing else."""
    held = {"status": "PROCESSING", "epoch": 7, "lease_until": now() + timedelta(seconds=20)}
    await change_batch_of(job, {"$set": held})


HARMS: dict[Harm, tuple[Damage, str]] = {
    counts_one_too_many: (Damage.COUNT, "COMPLETED"),
    counts_one_too_few: (Damage.COUNT, "COMPLETED"),
    counts_other_blocks: (Damage.COUNT, "COMPLETED"),
    waits_for_nothing: (Damage.WAKE_LOST, "COMPLETED"),
    waits_for_another: (Damage.WAKE_LOST, "COMPLETED"),
    waits_for_what_is_gone: (Damage.CANCEL_LOST, "COMPLETED_WITH_ERRORS"),
    is_held_by_no_hold: (Damage.HOLD, "COMPLETED"),
    a_block_is_leased_for_ages: (Damage.FAR_LEASE, "COMPLETED"),
    the_batch_is_leased_for_ages: (Damage.FAR_LEASE, "COMPLETED"),
    nobody_claims: (Damage.UNCLAIMED, "COMPLETED"),
}


async def sweep_to_an_end(stores: Stores, engine: InlineEngine, job: Job) -> Batch:
    async with asyncio.timeout(30):
        while (batch := await job.batch()).finished_at is None:
            await sweep(stores, engine)
            await asyncio.sleep(0.02)
    return batch


async def healings(job: Job) -> list[dict[str, int]]:
    events = await read_events(job.batch_id, after=0, limit=1000)
    return [event.data["found"] for event in events if event.type == EventType.BATCH_HEALED]


def counted(damage: Damage) -> float:
    value = metrics.HEALED.labels(str(damage))._value.get()
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
async def test_the_sweep_alone_ends_a_batch_that_was_harmed(
    impatient: Stores, namespace: NamespaceOfTest, harm: Harm
) -> None:
    damage, end = HARMS[harm]
    job = await open_job(impatient, namespace.scope, collections=2)
    await submit(impatient, job)
    before = counted(damage)
    await harm(job)

    async with inline_engine(impatient) as engine:
        batch = await sweep_to_an_end(impatient, engine, job)

    blocks = await job.blocks()
    assert (batch.status, batch.blocks_open, batch.blocks_total) == (end, 0, len(blocks))
    assert str(damage) in {name for found in await healings(job) for name in found}
    assert counted(damage) > before
    history = await job.history()  # without holes
    assert (history[-1], history.count("tier.completed")) == (f"batch.{end.lower()}", 2)
    assert len(await job.documents()) == 3


async def test_an_end_that_came_too_early_is_no_failure(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    await submit(stores, job)
    held = {"status": "PROCESSING", "lease_until": now() + timedelta(seconds=20)}
    await change_batch_of(job, {"$set": {**held, "blocks_open": 0}})

    async with inline_engine(stores) as engine:
        await reconcile(stores, engine, job.batch_id)

    batch = await job.batch()
    assert (batch.status, batch.blocks_open) == ("PROCESSING", 1)
    assert await healings(job) == [{"COUNT": 1}]


async def test_what_reads_a_failed_block_is_canceled_with_all_below(
    impatient: Stores, namespace: NamespaceOfTest
) -> None:
    tiers = [{"number": number, "collection_ids": []} for number in range(3)]
    batch = make_batch(
        namespace.id, status="PROCESSING", tiers=tiers, completed_tiers=[0],
        blocks_total=4, blocks_open=3, updated_at=now() - timedelta(seconds=9),
        lease_until=now() + timedelta(seconds=20),
    )  # fmt: skip
    failed = make_block(batch, status="FAILED")
    reader = make_reader(batch, failed)
    below = make_reader(batch, reader, tier=2)
    other = make_block(batch, status="LEASED", lease_until=now() + timedelta(seconds=20))
    await store(batch, failed, reader, below, other)

    assert await heal_batch(impatient, batch.id)

    after = await namespace.scope.require(Batch, batch.id)
    states = [(await Block.get(one.id)).status for one in (reader, below, other)]  # type: ignore[union-attr]
    assert states == ["CANCELED", "CANCELED", "LEASED"]
    assert (after.blocks_open, after.blocks_total) == (1, 4)
    assert sorted(after.completed_tiers) == [0, 1, 2]
    events = await read_events(batch.id, after=0, limit=9)
    assert events[0].data == {"found": {"CANCEL_LOST": 2}}
    assert [event.type for event in events[1:]] == ["tier.completed"] * 2


async def test_a_block_that_still_waits_for_another_waits_on(
    impatient: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, status="PROCESSING", blocks_total=3, blocks_open=2)
    done, at_work = make_block(batch, status="DONE"), make_block(batch, status="LEASED")
    reader = make_reader(batch, done, at_work)
    await store(batch, done, at_work, reader)

    assert await heal_batch(impatient, batch.id)

    after = await Block.get(reader.id)
    assert after is not None
    assert (after.status, after.waits_for) == ("WAITING", [at_work.id])


async def test_a_paused_batch_is_left_paused(impatient: Stores, namespace: NamespaceOfTest) -> None:
    job = await open_job(impatient, namespace.scope)
    await submit(impatient, job)
    await nobody_claims(job)
    await pause_batch(impatient, job.scope, job.batch_id)
    await asyncio.sleep(6 * STUCK_SECONDS)

    async with inline_engine(impatient) as engine:
        for _ in range(3):
            await sweep(impatient, engine)

    assert (await healings(job), engine.handed) == ([], [])


async def test_a_batch_that_waits_for_its_turn_is_not_taken_away(
    impatient: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(impatient, namespace.scope)
    await submit(impatient, job)
    await nobody_claims(job)
    other = make_batch(namespace.id, status="PROCESSING")
    in_work = make_block(other, status="LEASED", lease_until=now() + timedelta(seconds=20))
    await store(in_work)
    await asyncio.sleep(6 * STUCK_SECONDS)

    assert not await heal_batch(impatient, job.batch_id)
    await Block.get_pymongo_collection().delete_one({"_id": in_work.id})
    assert await heal_batch(impatient, job.batch_id)


async def test_a_batch_that_others_pass_by_is_taken_away(
    impatient: Stores, namespace: NamespaceOfTest
) -> None:
    """The namespace never comes to rest, and what has waited longest should be next."""
    job = await open_job(impatient, namespace.scope)
    await submit(impatient, job)
    await nobody_claims(job)
    held = {"status": "LEASED", "lease_until": now() + timedelta(seconds=20)}
    other = make_batch(namespace.id, status="PROCESSING")
    began = (await job.batch()).updated_at
    await store(make_block(other, started_at=began, **held))
    await asyncio.sleep(6 * STUCK_SECONDS)

    assert not await heal_batch(impatient, job.batch_id)
    await store(make_block(other, started_at=now(), **held))
    assert await heal_batch(impatient, job.batch_id)
    assert await healings(job) == [{"UNCLAIMED": 1}]


async def test_nothing_is_found_in_a_batch_at_work(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    """Looked into without a pause, by several: not one step of a sound batch looks like damage."""
    job = await open_job(stores, namespace.scope, objects=60, collections=2)
    await submit(stores, job)

    async with inline_engine(stores, InlinePools(stores.settings.cache)) as engine:
        ending = asyncio.create_task(sweep_to_an_end(stores, engine, job))
        while not ending.done():
            looks = (heal_batch(stores, job.batch_id) for _ in range(2))
            assert await asyncio.gather(*looks) == [False, False]
        batch = await ending

    assert (batch.status, await healings(job)) == ("COMPLETED", [])


async def test_one_of_many_workers_looks_into_a_quiet_batch(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    quiet = make_batch(namespace.id, status="QUEUED", updated_at=now() - timedelta(seconds=9))
    await store(quiet)

    looks = await asyncio.gather(*(take_quiet_batch(quiet_seconds=5) for _ in range(6)))

    assert sorted(looks, key=str) == [None] * 5 + [quiet.id]
    assert await take_quiet_batch(quiet_seconds=5) is None
    assert await take_quiet_batch(quiet_seconds=0) == quiet.id


async def test_quiet_live_batches_alone_are_looked_into(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    long_ago = now() - timedelta(seconds=2 * stores.settings.worker.stuck_seconds)
    usual = {"status": "PROCESSING", "blocks_open": 1}
    quiet = make_batch(namespace.id, updated_at=long_ago, **usual)
    odd = make_batch(namespace.id, updated_at=long_ago, **usual)
    await store(quiet, odd, make_batch(namespace.id, **usual))
    await store(make_batch(namespace.id, status="CANCELED", blocks_open=1, updated_at=long_ago))
    # A state that no version of ours has written: it must not end the look at the others.
    await store(make_block(odd))
    await Batch.get_pymongo_collection().update_one({"_id": odd.id}, {"$set": {"epoch": "odd"}})

    looks = [await heal_quiet_batches(stores) for _ in range(3)]

    assert looks == [1, 0, 0]
    assert (await namespace.scope.require(Batch, quiet.id)).blocks_open == 0
