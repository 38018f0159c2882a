import asyncio
from dataclasses import replace

from models.batch import Batch
from models.bus import Bus
from models.events import read_events
from models.settings import RedisSettings
from models.states import BatchStatus
from models.stores import Stores
from models.task import Task
from tests.factories import make_batch, make_task, store
from tests.fixtures.stores import NamespaceOfTest
from workers.transitions import explain_wait, move_batch


async def test_state_event_task_and_mirror_move_together(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, status="PROCESSING")
    task, other = make_task(batch), make_task(make_batch(namespace.id))
    await store(batch, task, other)

    event = await move_batch(
        stores, batch.id, BatchStatus.FAILED,
        values={"error_message": "Broken."}, data={"message": "Broken."},
    )  # fmt: skip

    after = await namespace.scope.require(Batch, batch.id)
    assert (after.status, after.error_message) == ("FAILED", "Broken.")
    assert await read_events(batch.id, after=0, limit=9) == [event]
    moved = await namespace.scope.require(Task, task.id)
    assert (moved.status, moved.error_message) == ("FAILED", "Broken.")
    assert moved.finished_at is not None
    mirrored = await stores.bus.read_task(task.id)
    assert mirrored is not None
    assert Task.model_validate_json(mirrored) == moved
    assert await namespace.scope.require(Task, other.id) == other


async def test_a_move_that_the_table_forbids_changes_nothing_at_all(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, status="CANCELED")
    task = make_task(batch)
    await store(batch, task)

    assert await move_batch(stores, batch.id, BatchStatus.COMPLETED) is None

    assert await namespace.scope.require(Batch, batch.id) == batch
    assert await namespace.scope.require(Task, task.id) == task
    assert await stores.bus.read_task(task.id) is None


async def test_moves_at_once_to_different_ends_have_one_winner(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    ends = [BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.CANCELING] * 3
    for _ in range(4):
        batch = make_batch(namespace.id, status="PROCESSING")
        task = make_task(batch)
        await store(batch, task)

        events = await asyncio.gather(*(move_batch(stores, batch.id, end) for end in ends))

        [winner] = [event for event in events if event is not None]
        after = await namespace.scope.require(Batch, batch.id)
        assert (after.status, after.sequence) == (winner.status, 2)
        assert (await namespace.scope.require(Task, task.id)).status == winner.status


async def test_a_move_without_redis_is_a_move(stores: Stores, namespace: NamespaceOfTest) -> None:
    bus = Bus(RedisSettings(url="redis://127.0.0.1:1/0"))
    batch = make_batch(namespace.id, status="PROCESSING")
    await store(batch, make_task(batch))

    async with asyncio.timeout(20):
        event = await move_batch(replace(stores, bus=bus), batch.id, BatchStatus.COMPLETED)

    await bus.close()
    assert event is not None


async def test_a_move_is_announced(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = make_batch(namespace.id, status="PROCESSING")
    await store(batch)
    channel = stores.bus.events_channel(namespace.id)
    async with stores.bus.listen(channel) as listener, asyncio.timeout(20):
        while not dict(await stores.bus.redis.pubsub_numsub(channel)).get(channel):
            await asyncio.sleep(0.01)
        await move_batch(stores, batch.id, BatchStatus.COMPLETED)

        while not (heard := await listener.wait(1)):  # a wake-up without a name comes first
            pass

    assert heard == {batch.id}


async def test_a_wait_is_explained_once_and_only_while_it_lasts(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, status="QUEUED")
    await store(batch)

    await explain_wait(batch, "WAITING_FOR_ENGINE", "Ray is down.")
    explained = await namespace.scope.require(Batch, batch.id)
    await explain_wait(explained, "WAITING_FOR_ENGINE", "Ray is still down.")
    assert await namespace.scope.require(Batch, batch.id) == explained
    assert explained.reason is not None
    assert (explained.reason.message, explained.sequence) == ("Ray is down.", 1)

    await move_batch(stores, batch.id, BatchStatus.CANCELING, values={"reason": None})
    await explain_wait(batch, "WAITING_FOR_ENGINE", "Ray is down.")
    assert (await namespace.scope.require(Batch, batch.id)).reason is None
