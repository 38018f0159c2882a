"""What followers share: one look at the database, and one execution for all who see the same."""

import asyncio
from typing import Any

import pytest

from graphql_api.looks import Looks, SharedLooks
from graphql_api.operations.streaming import Subscription
from models.scope import Scope
from models.stores import Stores
from tests.fixtures.api import RunningApi
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import add_events, run_batch

FOLLOW = "subscription($id: ID!, $after: String) { batchEvents(batchId: $id, after: $after) %s }"
SHORT, LONG = FOLLOW % "{ sequence }", FOLLOW % "{ sequence at }"
MANY = 30


class Source:
    """A database that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answering = asyncio.Event()

    async def read(self) -> int:
        self.asked += 1
        await self.answering.wait()
        return self.asked


def clock() -> float:
    return asyncio.get_running_loop().time()


async def test_followers_called_together_share_a_look() -> None:
    looks, source, called = Looks[int](), Source(), clock()
    source.answering.set()

    found = await asyncio.gather(*(looks.since(called, source.read) for _ in range(100)))

    assert (set(found), source.asked) == ({1}, 1)


async def test_a_look_that_began_before_the_call_is_not_taken() -> None:
    looks, source = Looks[int](), Source()
    early = asyncio.create_task(looks.since(clock(), source.read))
    await asyncio.sleep(0)

    late = asyncio.create_task(looks.since(clock() + 1e-9, source.read))
    await asyncio.sleep(0)
    source.answering.set()

    await asyncio.gather(early, late)
    assert source.asked == 2


async def test_who_leaves_does_not_take_the_look_along() -> None:
    looks, source, called = Looks[int](), Source(), clock()
    first = asyncio.create_task(looks.since(called, source.read))
    second = asyncio.create_task(looks.since(called, source.read))
    await asyncio.sleep(0)

    first.cancel()
    source.answering.set()

    assert await second == 1
    assert source.asked == 1


async def test_a_subject_nobody_follows_is_forgotten() -> None:
    shared = SharedLooks()
    with shared.of("a") as one, shared.of("a") as two:
        assert one is two
    with shared.of("a") as three:
        assert three is not one


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often a batch was read, and an event executed."""
    counts = {"reads": 0, "executions": 0}
    read, run = Scope.require, Subscription._execute

    async def require(scope: Scope, *args: Any, **kwargs: Any) -> Any:
        counts["reads"] += 1
        return await read(scope, *args, **kwargs)

    def execute(subscription: Subscription, *args: Any) -> Any:
        counts["executions"] += 1
        return run(subscription, *args)

    monkeypatch.setattr(Scope, "require", require)
    monkeypatch.setattr(Subscription, "_execute", execute)
    return counts


async def test_an_event_is_read_and_executed_once_for_all_who_see_the_same(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, counted: dict[str, int]
) -> None:
    batch = await run_batch(namespace)
    async with api.open_socket(namespace.api_key) as socket:
        for number in range(MANY):
            query = LONG if number % 2 else SHORT
            await socket.subscribe(query, {"id": batch.id}, id=str(number))
        for _ in range(MANY):
            await socket.next()
        counted.update(reads=0, executions=0)

        await add_events(stores, batch)
        frames = [await socket.next() for _ in range(MANY)]

    assert {frame["sequence"] for frame in frames} == {2}
    assert sum("at" in frame for frame in frames) == MANY // 2
    assert counted["executions"] == 2  # one a document
    assert counted["reads"] <= 2  # one look, and one more where it met a timer


async def test_who_resumes_elsewhere_shares_what_follows(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, counted: dict[str, int]
) -> None:
    batch = await run_batch(namespace)
    follow = FOLLOW % "{ sequence cursor }"
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(follow, {"id": batch.id}, id="fresh")
        cursor = (await socket.next())["cursor"]
        await socket.subscribe(follow, {"id": batch.id, "after": cursor}, id="resumed")
        await socket.subscribe("{ __typename }", id="barrier")
        assert (await socket.receive())["id"] == "barrier"
        await socket.receive()
        counted.update(executions=0)

        await add_events(stores, batch)
        frames = [await socket.next() for _ in range(2)]

    assert frames[0] == frames[1]
    assert counted["executions"] == 1
