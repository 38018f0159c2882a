"""How many database calls an operation makes: few, and as many for a hundred items as for two."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo.asynchronous.mongo_client import AsyncMongoClient

from models.ids import new_id
from models.states import BatchStatus
from models.stores import Stores
from tests.factories import make_batch, make_block, make_bucket, store
from tests.fixtures.api import RunningApi, Socket
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import rename, run_batch

FLAT = """{ batches(first: 100) { totalCount edges { node {
  id name status sequence bucketId errorMessage createdAt updatedAt
  counts { objects documentsWritten } progress { __typename } } } } }"""
RELATIONS = """{ batches(first: 100) { edges { node { %s } } } }"""
CASES = {
    "ten fields and counts": (FLAT, 2),
    "bucket": (RELATIONS % "bucket { name }", 2),
    "bucket and its count": (RELATIONS % "bucket { name objectCount }", 3),
    "transitions": (RELATIONS % "transitions { status at }", 2),
    "tiers": (RELATIONS % "tiers { number collections { blocks { done } } }", 2),
    "health": (RELATIONS % "health { state summary }", 2),
    "task": (RELATIONS % "task { status }", 2),
}


WAITING = RELATIONS % "health { state } queuePosition estimatedStartAt estimatedFinishAt"
WATCH = "subscription { batchesChanged { changes { batch { name } } } }"


@contextmanager
def counted_reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Note every read that the driver makes."""
    reads: list[Any] = []
    real = AsyncMongoClient._retryable_read

    async def read(client: Any, *args: Any, **kwargs: Any) -> Any:
        reads.append(args)
        return await real(client, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(AsyncMongoClient, "_retryable_read", read)
        yield reads


@pytest.mark.parametrize(("query", "calls"), CASES.values(), ids=CASES)
async def test_a_list_costs_as_many_calls_whatever_its_length(
    caller: GraphQL,
    namespace: NamespaceOfTest,
    monkeypatch: pytest.MonkeyPatch,
    query: str,
    calls: int,
) -> None:
    buckets = [make_bucket(namespace.id, name=f"bucket {number}") for number in range(40)]
    await store(*buckets)
    await store(
        *(make_batch(namespace.id, bucket_id=one.id, task_id=new_id("tsk")) for one in buckets)
    )
    await caller.data(query)  # the key and the document are known from here on

    with counted_reads(monkeypatch) as reads:
        answer = await caller.data(query)

    assert len(answer["batches"]["edges"]) == 40
    assert len(reads) == calls


@pytest.mark.parametrize("length", [2, 60])
async def test_estimates_cost_as_many_calls_whatever_the_length_of_the_queue(
    caller: GraphQL, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """Places, the blocks for health and estimates alike, the queue, paces, unknown collections."""
    for _ in range(length):
        batch = await run_batch(namespace, status=BatchStatus.QUEUED)
        await store(make_block(batch))
    await caller.data(WAITING)

    with counted_reads(monkeypatch) as reads:
        answer = await caller.data(WAITING)

    nodes = [edge["node"] for edge in answer["batches"]["edges"]]
    assert len([one for one in nodes if one["estimatedStartAt"] is not None]) == length
    assert len(reads) == 6


async def test_a_change_of_the_list_costs_as_many_calls_whoever_watches(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = await run_batch(namespace)
    calls: list[int] = []
    async with api.open_socket(namespace.api_key) as socket:
        for watchers in (1, 50):
            await _watch(socket, already=len(calls), watchers=watchers)
            with counted_reads(monkeypatch) as reads:
                for number in range(3):
                    await rename(stores, batch, f"{watchers} {number}")
                    frames = [await socket.next() for _ in range(watchers)]
                    assert {one["changes"][0]["batch"]["name"] for one in frames} == {
                        f"{watchers} {number}"
                    }
            calls.append(len(reads))

    alone, together = calls
    assert together <= alone + 8  # the key is looked at again, and a look made only to be sure


async def _watch(socket: Socket, *, already: int, watchers: int) -> None:
    for number in range(already, watchers):
        await socket.subscribe(WATCH, id=str(number))
        await socket.next()
