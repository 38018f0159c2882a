"""Following one batch: snapshot, replay, the seam between them, gaps, the end."""

import asyncio
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from graphql_api.batches import following
from models.batch import Batch
from models.bus import Bus
from models.embedded.folder import DataFolder
from models.embedded.redis import Redis
from models.events import Event, EventType
from models.settings import RedisSettings
from models.states import BatchStatus
from models.stores import Stores
from tests.fixtures.api import RunningApi, Socket, serve_api
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import add_events, end_batch, run_batch
from workers.batches import cancel_batch, delete_batch

EVENTS = """subscription($id: ID!, $after: String) {
  batchEvents(batchId: $id, after: $after) {
    __typename cursor fromSequence sequence at
    ... on BatchSnapshot { batch { id status sequence } }
    ... on BatchEvents { batch { status sequence } events { type sequence status } }
    ... on BatchDiscontinuity { reason }
  }
}"""


@dataclass(frozen=True)
class Frame:
    """What a test looks at."""

    kind: str
    first: int
    last: int
    cursor: str
    fields: dict[str, Any]

    @property
    def covered(self) -> list[int]:
        """The events that it stands for."""
        return list(range(self.first, self.last + 1))


def read(field: dict[str, Any]) -> Frame:
    kind = field["__typename"].removeprefix("Batch")
    frame = Frame(kind, field["fromSequence"], field["sequence"], field["cursor"], field)
    if kind == "Events":
        assert [event["sequence"] for event in field["events"]] == frame.covered
        assert 1 <= len(field["events"]) <= 100
        assert field["batch"]["sequence"] >= frame.last
    return frame


async def follow(
    api: RunningApi, key: str, batch_id: str, after: str | None = None, *, frames: int | None = None
) -> list[Frame]:
    """Return so many frames, or all until the stream completes."""
    async with api.open_socket(key) as socket:
        await socket.subscribe(EVENTS, {"id": batch_id, "after": after})
        return await take(socket, frames)


async def take(socket: Socket, frames: int | None = None) -> list[Frame]:
    found: list[Frame] = []
    while len(found) != frames:
        message = await socket.receive(20)
        if message["type"] == "complete":
            return found
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        found.append(read(message["payload"]["data"]["batchEvents"]))
    return found


async def refusal(api: RunningApi, key: str, batch_id: str, after: str | None = None) -> Any:
    async with api.open_socket(key) as socket:
        await socket.subscribe(EVENTS, {"id": batch_id, "after": after})
        message = await socket.receive()
        assert message["type"] == "error", message
        return message["payload"][0]["extensions"]["reason"]


async def test_a_snapshot_comes_first_and_events_join_it(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    await add_events(stores, batch, 4)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(EVENTS, {"id": batch.id})
        (snapshot,) = await take(socket, 1)
        await add_events(stores, batch)
        (events,) = await take(socket, 1)

    assert (snapshot.kind, snapshot.covered) == ("Snapshot", [1, 2, 3, 4, 5])
    assert snapshot.fields["batch"]["sequence"] == 5
    assert (events.kind, events.covered) == ("Events", [6])
    assert events.fields["at"].endswith("Z")


async def test_an_announced_event_arrives_at_once(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(EVENTS, {"id": batch.id})
        await take(socket, 1)
        delays = []
        for _ in range(5):
            await add_events(stores, batch)
            committed = time.monotonic()
            await take(socket, 1)
            delays.append(time.monotonic() - committed)

    assert sorted(delays)[2] < 2  # by looking alone it would be five seconds


async def test_s34_the_terminal_event_is_delivered_then_the_stream_completes(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(EVENTS, {"id": batch.id})
        await take(socket, 1)
        await add_events(stores, batch, 3, EventType.BLOCK_DONE)
        last = await end_batch(stores, batch, BatchStatus.COMPLETED_WITH_ERRORS)
        frames = await take(socket)

    assert [n for frame in frames for n in frame.covered] == list(range(2, last + 1))
    assert frames[-1].fields["events"][-1]["type"] == "batch.completed_with_errors"
    assert frames[-1].fields["batch"]["status"] == "COMPLETED_WITH_ERRORS"


async def test_s34_a_finished_batch_is_shown_then_the_stream_completes(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    await end_batch(stores, batch)

    (snapshot,) = await follow(api, namespace.api_key, batch.id)

    assert snapshot.fields["batch"]["status"] == "COMPLETED"
    assert await follow(api, namespace.api_key, batch.id, snapshot.cursor) == []


async def test_a_canceled_batch_ends_its_streams(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(EVENTS, {"id": batch.id})
        await take(socket, 1)
        await cancel_batch(stores, namespace.scope, batch.id)
        frames = await take(socket)

    types = [event["type"] for frame in frames for event in frame.fields["events"]]
    assert types == ["batch.canceling", "batch.canceled"]


async def test_a_batch_deleted_under_a_follower_ends_with_an_error(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace, status=BatchStatus.DRAFT)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(EVENTS, {"id": batch.id})
        await take(socket, 1)
        await delete_batch(stores, namespace.scope, batch.id)
        message = await socket.receive()

    assert message["type"] == "error"
    assert message["payload"][0]["extensions"]["reason"] == "NOT_FOUND"


async def test_an_unknown_batch_and_a_foreign_cursor_are_refused(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch, other = await run_batch(namespace), await run_batch(namespace)
    key = namespace.api_key
    (snapshot,) = await follow(api, key, other.id, frames=1)

    assert await refusal(api, key, "btc_nowhere") == "NOT_FOUND"
    for cursor in (snapshot.cursor, "", "garbage", "=", "é", "\x00", snapshot.cursor[:-2] + "xx"):
        assert await refusal(api, key, batch.id, cursor) == "INVALID_CURSOR"


async def test_a_cursor_replays_in_chunks_without_a_snapshot(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_PROGRESS_SECONDS", 5)
    batch = await run_batch(namespace)
    (snapshot,) = await follow(api, namespace.api_key, batch.id, frames=1)
    await add_events(stores, batch, 1050, EventType.BLOCK_DONE)
    await end_batch(stores, batch)

    started = time.monotonic()
    frames = await follow(api, namespace.api_key, batch.id, snapshot.cursor)

    assert {frame.kind for frame in frames} == {"Events"}
    assert [n for frame in frames for n in frame.covered] == list(range(2, 1053))
    assert time.monotonic() - started < 20  # a follower that is behind is not paced: eleven frames


async def test_s34_every_subscriber_sees_each_event_once_while_it_is_written(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    """Subscribers come and go with their cursors in the middle of thousands of events."""
    batch = await run_batch(namespace)
    seed = random.Random(7)
    total = 3000

    async def write() -> None:
        written = 0
        while written < total:
            count = min(seed.choice([1, 1, 2, 5, 30, 150]), total - written)
            kind = seed.choice([EventType.BLOCK_DONE, EventType.BLOCK_RETRIED])
            await add_events(stores, batch, count, kind, announce=seed.random() < 0.9)
            written += count
        await end_batch(stores, batch)

    async def subscribe(patience: int) -> list[int]:
        covered: list[int] = []
        cursor: str | None = None
        while True:
            wanted = seed.randint(1, patience)
            frames = await follow(api, namespace.api_key, batch.id, cursor, frames=wanted)
            for frame in frames:
                covered += frame.covered
                cursor = frame.cursor
            if len(frames) < wanted:
                return covered

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        readers = [group.create_task(subscribe(patience)) for patience in (1, 3, 3, 8, 8, 200)]

    for reader in readers:
        assert reader.result() == list(range(1, total + 3))


async def test_progress_is_paced_and_the_end_is_not_lost(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    stop = asyncio.Event()

    async def write() -> int:
        while not stop.is_set():
            await add_events(stores, batch, 1, EventType.BLOCK_DONE)
            await asyncio.sleep(0.01)
        return await end_batch(stores, batch)

    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(EVENTS, {"id": batch.id})
        await take(socket, 1)
        writing = asyncio.create_task(write())
        started, paced = time.monotonic(), []
        while time.monotonic() - started < 2:
            paced += await take(socket, 1)
        elapsed = time.monotonic() - started
        stop.set()
        rest = await take(socket)
        last = await writing

    assert len(paced) <= 4 * elapsed + 2
    covered = [n for frame in paced + rest for n in frame.covered]
    assert covered == list(range(2, last + 1))
    assert len(covered) > 2 * len(paced)
    assert rest[-1].fields["events"][-1]["type"] == "batch.completed"


async def trim(batch: Batch, up_to: int) -> None:
    rows = Event.get_pymongo_collection()
    await rows.delete_many({"batch_id": batch.id, "sequence": {"$lte": up_to}})


@pytest.mark.parametrize("kept", [0, 3], ids=["nothing kept", "some kept"])
async def test_what_retention_took_is_said_and_replaced_by_a_snapshot(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, kept: int
) -> None:
    batch = await run_batch(namespace)
    (first,) = await follow(api, namespace.api_key, batch.id, frames=1)
    last = await add_events(stores, batch, 9)
    await trim(batch, last - kept)

    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(EVENTS, {"id": batch.id, "after": first.cursor})
        gap, snapshot = await take(socket, 2)
        await add_events(stores, batch)
        (events,) = await take(socket, 1)

    assert (gap.kind, gap.fields["reason"]) == ("Discontinuity", "RETENTION")
    assert (snapshot.kind, snapshot.covered) == ("Snapshot", gap.covered)
    assert gap.covered == list(range(2, last + 1))
    assert (events.kind, events.covered) == ("Events", [last + 1])


async def test_a_client_cut_within_a_gap_is_told_of_it_again(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    """The snapshot that follows a discontinuity is not lost with the connection."""
    batch = await run_batch(namespace)
    (first,) = await follow(api, namespace.api_key, batch.id, frames=1)
    last = await add_events(stores, batch, 9)
    await trim(batch, last)
    (gap,) = await follow(api, namespace.api_key, batch.id, first.cursor, frames=1)

    frames = await follow(api, namespace.api_key, batch.id, gap.cursor, frames=2)

    assert [frame.kind for frame in frames] == ["Discontinuity", "Snapshot"]


async def test_a_cursor_of_an_older_log_is_said_to_be_one(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    await add_events(stores, batch, 9)
    (first,) = await follow(api, namespace.api_key, batch.id, frames=1)
    rows = Batch.get_pymongo_collection()
    await rows.update_one({"_id": batch.id}, {"$set": {"sequence": 4}})

    gap, snapshot = await follow(api, namespace.api_key, batch.id, first.cursor, frames=2)

    assert (gap.kind, gap.fields["reason"]) == ("Discontinuity", "LOG_RESET")
    assert (snapshot.kind, snapshot.covered) == ("Snapshot", [1, 2, 3, 4])


async def test_s34_an_event_that_was_never_announced_is_found_by_looking(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert following._LOOK_SECONDS == 5
    monkeypatch.setattr(following, "_LOOK_SECONDS", 0.5)
    batch = await run_batch(namespace)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(EVENTS, {"id": batch.id})
        await take(socket, 1)
        await add_events(stores, batch, announce=False)
        (events,) = await take(socket, 1)

    assert events.covered == [2]


async def test_s15_redis_restarted_or_gone_delays_and_loses_nothing(
    stores: Stores, namespace: NamespaceOfTest, tmp_path: Path
) -> None:
    batch = await run_batch(namespace)
    own = Redis(DataFolder(tmp_path))
    with DataFolder(tmp_path):
        async with AsyncExitStack() as opened:
            opened.callback(own.stop)
            await start(own)
            bus = Bus(RedisSettings(url=own.url))
            opened.push_async_callback(bus.close)
            used = replace(stores, bus=bus)
            api = await opened.enter_async_context(serve_api(used))
            socket = await opened.enter_async_context(api.open_socket(namespace.api_key))
            await socket.subscribe(EVENTS, {"id": batch.id})
            await take(socket, 1)

            own.stop()
            late = await opened.enter_async_context(api.open_socket(namespace.api_key))
            await late.subscribe(EVENTS, {"id": batch.id})
            assert (await take(late, 1))[0].covered == [1]
            await add_events(used, batch)
            assert (await take(socket, 1))[0].covered == [2]
            assert (await take(late, 1))[0].covered == [2]

            await start(own)
            channel = bus.events_channel(namespace.id)
            async with asyncio.timeout(20):  # it subscribes again, for both
                while not dict(await bus.redis.pubsub_numsub(channel)).get(channel):
                    await asyncio.sleep(0.02)
            await add_events(used, batch)
            assert (await take(socket, 1))[0].covered == [3]
            assert (await take(late, 1))[0].covered == [3]


async def start(server: Redis) -> None:
    server.launch()
    while not server.is_ready():
        await asyncio.sleep(0.02)
