import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from models.bus import Bus, Listener
from models.embedded.folder import DataFolder
from models.embedded.redis import Redis
from models.errors import Misconfigured
from models.ids import new_id
from models.settings import RedisSettings, Settings
from models.stores import Stores
from models.task import Task
from tests.factories import make_batch, make_task, store
from tests.fixtures.stores import NamespaceOfTest

NOBODY = RedisSettings(url="redis://127.0.0.1:1/0")


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    """A connection of this test's own."""
    bus = Bus(settings.redis)
    yield bus
    await bus.close()


async def hear(listener: Listener, seconds: float = 20) -> set[str]:
    """Return what is heard, the first silent wake-ups left out."""
    async with asyncio.timeout(seconds):
        while not (heard := await listener.wait(0.5)):
            pass
    return heard


async def listening(bus: Bus, channel: str) -> None:
    """Wait until Redis knows of the subscription."""
    async with asyncio.timeout(20):
        while not dict(await bus.redis.pubsub_numsub(channel)).get(channel):
            await asyncio.sleep(0.01)


async def test_an_announcement_reaches_the_listeners_of_its_namespace_alone(
    bus: Bus, settings: Settings
) -> None:
    mine, other = new_id("ns"), new_id("ns")
    async with (
        bus.listen(bus.events_channel(mine)) as one,
        bus.listen(bus.events_channel(mine)) as two,
        bus.listen(bus.events_channel(other)) as stranger,
    ):
        await listening(bus, bus.events_channel(mine))
        sender = Bus(settings.redis)
        await sender.announce(mine, "btc_1", 7)
        await sender.close()

        assert await hear(one) == {"btc_1"}
        assert await hear(two) == {"btc_1"}
        assert await stranger.wait(0.05) == set()


async def test_wake_ups_that_pile_up_become_one() -> None:
    listener = Listener()
    for number in range(100):
        listener.ring(f"btc_{number % 3}")
    listener.ring(None)

    assert await listener.wait(0) == {"btc_0", "btc_1", "btc_2"}
    assert await listener.wait(0) == set()


async def test_a_bell_that_rings_while_nobody_waits_is_kept() -> None:
    listener = Listener()
    listener.ring("btc_1")

    async with asyncio.timeout(20):
        assert await listener.wait(60) == {"btc_1"}


async def test_a_cancel_that_meets_a_ring_is_not_lost() -> None:
    """On Python 3.11 `asyncio.wait_for` would swallow it, and its owner would never end."""
    listener = Listener()

    async def listen_forever() -> None:
        while True:
            await listener.wait(30)

    task = asyncio.create_task(listen_forever())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    listener.ring("btc_1")
    await asyncio.sleep(0)  # the waiting future is done, the owner has not run yet
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=20)

    task.cancel()
    assert done == {task}


async def test_the_channel_is_kept_while_one_listener_is_left(bus: Bus) -> None:
    channel = bus.events_channel(new_id("ns"))
    async with bus.listen(channel) as staying:
        async with bus.listen(channel):
            await listening(bus, channel)
        await bus.redis.publish(channel, "btc_1 1")
        assert await hear(staying) == {"btc_1"}

    async with asyncio.timeout(20):
        while dict(await bus.redis.pubsub_numsub(channel)).get(channel):
            await asyncio.sleep(0.01)
    async with bus.listen(channel) as again:
        await listening(bus, channel)
        await bus.redis.publish(channel, "btc_2 1")
        assert await hear(again) == {"btc_2"}


async def test_a_lost_connection_is_opened_again_and_says_look(bus: Bus) -> None:
    channel = bus.events_channel(new_id("ns"))
    async with bus.listen(channel) as listener:
        await listening(bus, channel)
        await bus.redis.client_kill_filter(_type="pubsub")

        async with asyncio.timeout(20):
            while True:
                await bus.redis.publish(channel, "btc_1 1")
                if await listener.wait(0.1):
                    break


async def test_who_began_to_listen_while_redis_was_down_hears_when_it_is_back(
    tmp_path: Path,
) -> None:
    with DataFolder(tmp_path) as folder, ExitStack() as ending:
        server = Redis(folder)
        ending.callback(server.close)
        await start(server)
        url = server.url
        server.stop()
        async with AsyncExitStack() as closing:
            bus = Bus(RedisSettings(url=url))
            closing.push_async_callback(bus.close)
            listener = await closing.enter_async_context(bus.listen(bus.work_channel))
            await start(server)
            assert server.url == url
            await listening(bus, bus.work_channel)
            await bus.ring_workers("btc_1")

            assert await hear(listener) == {"btc_1"}


async def start(server: Redis) -> None:
    server.launch()
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(server.is_ready):
            await asyncio.sleep(0.02)


async def test_without_redis_nothing_fails_and_little_time_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = Bus(NOBODY)
    with caplog.at_level(logging.WARNING, "models.bus"):
        async with asyncio.timeout(20), bus.listen(bus.work_channel):
            await bus.announce("ns_1", "btc_1", 1)
            await bus.ring_workers("btc_1")
            await bus.mirror_task("tsk_1", "{}")
            assert await bus.read_task("tsk_1") is None
    await bus.close()

    assert {"publish", "mirror a task", "read a task's mirror"} <= {
        record.args[0] for record in caplog.records if isinstance(record.args, tuple)
    }


async def test_a_task_is_mirrored_for_a_day(bus: Bus) -> None:
    task_id = new_id("tsk")
    await bus.mirror_task(task_id, '{"status": "QUEUED"}')
    await bus.mirror_task(task_id, '{"status": "PROCESSING"}')

    assert await bus.read_task(task_id) == '{"status": "PROCESSING"}'
    assert 86_390 < await bus.redis.ttl(f"quiet:task:{task_id}") <= 86_400


async def test_a_task_whose_mirror_is_gone_is_still_in_the_database(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    task = make_task(make_batch(namespace.id))
    await store(task)
    body = task.model_dump_json(by_alias=True)
    await stores.bus.mirror_task(task.id, body)
    await stores.bus.redis.delete(f"quiet:task:{task.id}")

    assert await stores.bus.read_task(task.id) is None
    found = await namespace.scope.require(Task, task.id)
    assert found.model_dump_json(by_alias=True) == body
    assert Task.model_validate_json(body) == found


async def test_without_an_address_the_hint_names_the_setting() -> None:
    with pytest.raises(Misconfigured) as refused:
        Bus(RedisSettings())

    assert "STRATA_REDIS__URL" in refused.value.hint
