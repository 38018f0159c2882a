"""What Strata needs of Redis; on the local server, or on the one that STRATA_REDIS__URL names."""

import asyncio
import os
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, Retries
from redis.asyncio import Redis

from models.embedded.servers import EmbeddedServers

MESSAGES = 1_000
ENQUEUED = 200
PATIENCE = 20.0


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("STRATA_REDIS__URL")
    with EmbeddedServers(
        tmp_path_factory.mktemp("redis"),
        mongo_url="",
        redis_url=given,
        qdrant_url="",
        s3_url="",
        ray=False,
    ) as servers:
        yield servers.start().redis_url


@pytest.fixture
def prefix() -> str:
    return f"contract:{uuid.uuid4().hex}"


@pytest.fixture
async def client(redis_url: str, prefix: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client
        if left := [key async for key in client.scan_iter(match=f"{prefix}*")]:
            await client.delete(*left)


async def test_lua_moves_only_what_it_expects(client: Redis, prefix: str) -> None:
    compare_and_set = client.register_script(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
        "redis.call('SET', KEYS[1], cjson.encode({epoch = ARGV[2]}), 'PX', 60000) return 1"
    )
    await client.set(prefix, "old")

    moved = await asyncio.gather(*(compare_and_set([prefix], ["old", n]) for n in range(8)))

    assert sorted(moved) == [0] * 7 + [1]
    assert await client.get(prefix) == f'{{"epoch":"{moved.index(1)}"}}'
    assert 0 < await client.pttl(prefix) <= 60_000


async def test_publishes_a_thousand_messages_in_order(client: Redis, prefix: str) -> None:
    async with client.pubsub(ignore_subscribe_messages=True) as following:
        await following.subscribe(prefix)
        publishing = asyncio.create_task(_publish(client, prefix))
        heard = [await _next(following) for _ in range(MESSAGES)]
        await publishing

    assert heard == [str(number) for number in range(MESSAGES)]


async def _publish(client: Redis, channel: str) -> None:
    for number in range(MESSAGES):
        await client.publish(channel, number)


async def _next(following: "redis.asyncio.client.PubSub") -> str:
    while True:
        if message := await following.get_message(timeout=PATIENCE):
            return str(message["data"])


async def test_set_if_absent_is_won_once_and_expires(client: Redis, prefix: str) -> None:
    long, brief = timedelta(minutes=1), timedelta(milliseconds=150)
    won = await asyncio.gather(*(client.set(prefix, n, nx=True, px=long) for n in range(8)))

    assert sum(bool(one) for one in won) == 1
    assert await client.set(prefix, "late", nx=True, px=long) is None
    await client.pexpire(prefix, brief)
    await asyncio.sleep(0.25)
    assert await client.set(prefix, "later", nx=True, px=long)


async def test_hash_expires_as_a_whole(client: Redis, prefix: str) -> None:
    async with client.pipeline(transaction=True) as pipeline:
        pipeline.hset(prefix, mapping={"status": "QUEUED", "sequence": 3})
        pipeline.expire(prefix, timedelta(hours=24))
        await pipeline.execute()

    assert await client.hgetall(prefix) == {"status": "QUEUED", "sequence": "3"}
    assert 86_000 < await client.ttl(prefix) <= 86_400


async def test_watched_key_stops_a_transaction(client: Redis, prefix: str) -> None:
    async with client.pipeline(transaction=True) as pipeline:
        await pipeline.watch(prefix)
        await client.set(prefix, "another's")
        pipeline.multi()  # type: ignore[no-untyped-call]
        pipeline.set(prefix, "ours")

        with pytest.raises(redis.WatchError):
            await pipeline.execute()

    assert await client.get(prefix) == "another's"


async def test_scan_finds_every_key(client: Redis, prefix: str) -> None:
    await client.mset({f"{prefix}:{number}": number for number in range(2_000)})

    found = [key async for key in client.scan_iter(match=f"{prefix}:*", count=500)]

    assert len(set(found)) == 2_000


@dataclass
class Received:
    """What the actors saw, told to the test's thread."""

    numbers: list[int] = field(default_factory=list)
    attempts: int = 0
    done: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def broker(redis_url: str, prefix: str) -> Iterator[RedisBroker]:
    # redis-py gives up after 5 s by default, which a blocking read outlives.
    client = redis.Redis.from_url(redis_url, socket_timeout=None)
    retries = Retries(max_retries=3, min_backoff=50, max_backoff=50)
    broker = RedisBroker(  # type: ignore[no-untyped-call]
        client=client, namespace=prefix, middleware=[AsyncIO(), retries]
    )
    yield broker
    broker.close()
    if left := list(client.scan_iter(match=f"{prefix}*")):
        client.delete(*left)
    client.close()


def test_async_actors_get_every_message(broker: RedisBroker) -> None:
    received = Received()

    async def collect(number: int) -> None:
        await asyncio.sleep(0)
        received.numbers.append(number)  # one loop, so one at a time
        if len(received.numbers) == ENQUEUED:
            received.done.set()

    actor = dramatiq.actor(broker=broker, queue_name="contract")(collect)
    for number in range(ENQUEUED):
        actor.send(number)

    _work_until(received.done, broker)

    assert sorted(received.numbers) == list(range(ENQUEUED))


def test_failed_message_comes_again_after_its_delay(broker: RedisBroker) -> None:
    received = Received()

    async def fail_once() -> None:
        received.attempts += 1
        if received.attempts == 1:
            raise ConnectionError
        received.done.set()

    actor = dramatiq.actor(broker=broker, queue_name="contract")(fail_once)
    actor.send_with_options(delay=50)

    _work_until(received.done, broker)

    assert received.attempts == 2


def _work_until(done: threading.Event, broker: RedisBroker) -> None:
    worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=100)
    worker.start()
    try:
        assert done.wait(PATIENCE)
    finally:
        worker.stop()
