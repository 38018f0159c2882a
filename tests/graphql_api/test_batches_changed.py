"""Watching the list of batches: what enters, changes, leaves, is deleted; filters; resuming."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from strawberry import ID

from graphql_api.batches import watching
from graphql_api.batches.inputs import BatchFilter
from models.batch import Batch
from models.states import BatchStatus
from models.stores import Stores
from tests.factories import make_batch, store
from tests.fixtures.api import RunningApi, Socket
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import add_events, end_batch, rename, run_batch
from workers.batches import delete_batch

CHANGES = """subscription($filter: BatchFilter, $after: String) {
  batchesChanged(filter: $filter, after: $after) {
    cursor changes { kind batchId batch { name status sequence } }
  }
}"""
RUNNING = {"status": ["PROCESSING"]}


async def watch(
    socket: Socket, chosen: dict[str, Any] | None = None, after: str | None = None, id: str = "1"
) -> dict[str, Any]:
    """Subscribe; return the first frame."""
    await socket.subscribe(CHANGES, {"filter": chosen, "after": after}, id=id)
    return await socket.next()


def forget_the_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing told twice."""
    monkeypatch.setattr(watching, "_OVERLAP", timedelta(0))
    monkeypatch.setattr(watching, "_ROUNDED", timedelta(microseconds=1))


def kinds(frame: dict[str, Any]) -> list[tuple[str, str]]:
    return [(change["kind"], change["batchId"]) for change in frame["changes"]]


async def test_first_come_the_newest_that_match(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    stored = [make_batch(namespace.id) for _ in range(60)]
    await store(*stored)
    async with api.open_socket(namespace.api_key) as socket:
        frame = await watch(socket)

    newest = sorted((batch.id for batch in stored), reverse=True)[:50]
    assert kinds(frame) == [("ENTERED", batch_id) for batch_id in newest]


async def test_a_batch_enters_changes_and_leaves_a_filter(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    async with api.open_socket(namespace.api_key) as socket:
        assert kinds(await watch(socket, RUNNING)) == []

        batch = await run_batch(namespace)
        await stores.bus.announce(namespace.id, batch.id, 1)
        entered = await socket.next()
        await rename(stores, batch, "renamed")
        changed = await socket.next()
        await end_batch(stores, batch)
        left = await socket.next()

    assert kinds(entered) == [("ENTERED", batch.id)]
    assert kinds(changed) == [("CHANGED", batch.id)]
    assert changed["changes"][0]["batch"]["name"] == "renamed"
    assert kinds(left) == [("LEFT", batch.id)]
    assert left["changes"][0]["batch"]["status"] == "COMPLETED"


async def test_a_deleted_batch_leaves_without_a_batch(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id)
    await store(batch)
    async with api.open_socket(namespace.api_key) as socket:
        await watch(socket)
        await delete_batch(stores, namespace.scope, batch.id)
        left = await socket.next()

    assert left["changes"] == [{"kind": "LEFT", "batchId": batch.id, "batch": None}]


async def test_what_does_not_match_is_never_told(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    other, mine = await run_batch(namespace), await run_batch(namespace)
    async with api.open_socket(namespace.api_key) as socket:
        first = await watch(socket, {"bucketId": mine.bucket_id})
        await rename(stores, other, "other")
        await rename(stores, mine, "mine")
        second = await socket.next()

    assert kinds(first) == [("ENTERED", mine.id)]
    assert kinds(second) == [("CHANGED", mine.id)]


async def test_changes_of_one_batch_are_gathered(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    stop = asyncio.Event()

    async def write() -> int:
        last = 0
        while not stop.is_set():
            last = await add_events(stores, batch, 10)
        return last

    async with api.open_socket(namespace.api_key) as socket:
        await watch(socket)
        writing = asyncio.create_task(write())
        started, frames = time.monotonic(), 0
        while time.monotonic() - started < 1.5:
            frame = await socket.next()
            assert kinds(frame) == [("CHANGED", batch.id)]
            frames += 1
        stop.set()
        last = await writing
        while frame["changes"][0]["batch"]["sequence"] < last:
            frame = await socket.next()

    assert frames <= 4 * 1.5 + 2
    assert last > 2 * frames


async def test_a_resume_tells_what_happened_meanwhile(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entered, changed and left; and what was known stays known."""
    forget_the_overlap(monkeypatch)
    ends, changes, stays = [await run_batch(namespace) for _ in range(3)]
    async with api.open_socket(namespace.api_key) as socket:
        cursor = (await watch(socket, RUNNING))["cursor"]
    await asyncio.sleep(0.01)
    await end_batch(stores, ends)
    await rename(stores, changes, "changed")
    enters = await run_batch(namespace)

    async with api.open_socket(namespace.api_key) as socket:
        frame = await watch(socket, RUNNING, cursor)
        await end_batch(stores, stays)
        later = await socket.next()

    assert set(kinds(frame)) == {
        ("LEFT", ends.id), ("CHANGED", changes.id), ("ENTERED", enters.id),
    }  # fmt: skip
    assert kinds(later) == [("LEFT", stays.id)]


async def test_a_resume_repeats_rather_than_misses(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    """With the overlap as it is, what is told twice has its present state."""
    batch = await run_batch(namespace)
    async with api.open_socket(namespace.api_key) as socket:
        cursor = (await watch(socket))["cursor"]
        frame = await watch(socket, after=cursor, id="2")

    assert [change["batchId"] for change in frame["changes"]] == [batch.id]
    assert frame["changes"][0]["batch"]["sequence"] == 1


async def test_a_batch_deleted_after_a_resume_is_told(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_the_overlap(monkeypatch)
    batch = make_batch(namespace.id)
    await store(batch)
    async with api.open_socket(namespace.api_key) as socket:
        cursor = (await watch(socket))["cursor"]
        assert kinds(await watch(socket, after=cursor, id="2")) == []
        await socket.send({"type": "complete", "id": "1"})
        await delete_batch(stores, namespace.scope, batch.id)

        assert kinds(await socket.next()) == [("LEFT", batch.id)]


async def test_a_resume_tells_of_a_batch_that_was_deleted_meanwhile(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_the_overlap(monkeypatch)
    batch = make_batch(namespace.id)
    await store(batch)
    async with api.open_socket(namespace.api_key) as socket:
        cursor = (await watch(socket))["cursor"]
    await asyncio.sleep(0.01)
    await delete_batch(stores, namespace.scope, batch.id)

    async with api.open_socket(namespace.api_key) as socket:
        assert kinds(await watch(socket, after=cursor)) == [("LEFT", batch.id)]


async def test_what_was_never_announced_is_found_by_looking(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_LOOK_SECONDS", 0.5)
    async with api.open_socket(namespace.api_key) as socket:
        await watch(socket)
        batch = await run_batch(namespace)

        assert kinds(await socket.next()) == [("ENTERED", batch.id)]


async def test_only_so_many_batches_are_remembered(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_KNOWN", 2)
    forget_the_overlap(monkeypatch)
    batches = [await run_batch(namespace) for _ in range(4)]
    async with api.open_socket(namespace.api_key) as socket:
        await watch(socket, RUNNING)
        await rename(stores, batches[0], "again")
        assert kinds(await socket.next()) == [("CHANGED", batches[0].id)]
        await end_batch(stores, batches[0])
        assert kinds(await socket.next()) == [("LEFT", batches[0].id)]
        await rename(stores, batches[3], "remembered")
        assert kinds(await socket.next()) == [("CHANGED", batches[3].id)]
        await rename(stores, batches[1], "forgotten")
        assert kinds(await socket.next()) == [("ENTERED", batches[1].id)]


async def test_cursors_of_other_lists_are_refused(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    await store(make_batch(namespace.id))
    caller = api.caller(namespace.api_key)
    page = await caller.data("{ batches { pageInfo { endCursor } } }")
    async with api.open_socket(namespace.api_key) as socket:
        cursor = (await watch(socket))["cursor"]
        wrong = (page["batches"]["pageInfo"]["endCursor"], "garbage", "")
        for number, other in enumerate(wrong):
            variables = {"filter": None, "after": other}
            await socket.subscribe(CHANGES, variables, id=f"o{number}")
        variables = {"filter": RUNNING, "after": cursor}
        await socket.subscribe(CHANGES, variables, id="filter")
        answers = [await socket.receive() for _ in range(4)]

    assert {answer["type"] for answer in answers} == {"error"}
    reasons = {answer["payload"][0]["extensions"]["reason"] for answer in answers}
    assert reasons == {"INVALID_CURSOR"}
    listed = await caller.answer(
        "query($after: String) { batches(after: $after) { totalCount } }", after=cursor
    )
    assert listed["errors"][0]["extensions"]["reason"] == "INVALID_CURSOR"


@pytest.mark.parametrize("status", list(BatchStatus))
async def test_a_filter_admits_what_the_store_would_find(
    namespace: NamespaceOfTest, status: BatchStatus
) -> None:
    chosen = BatchFilter(status=[BatchStatus.DRAFT, BatchStatus.FAILED], bucket_id=ID("b"))
    for bucket_id in ("b", "c"):
        await store(make_batch(namespace.id, status=status, bucket_id=bucket_id, blocks_open=1))
    stored = await namespace.scope.all(Batch)

    found = await namespace.scope.all(Batch, chosen.match())

    assert [one.id for one in stored if chosen.admits(one)] == [one.id for one in found]
