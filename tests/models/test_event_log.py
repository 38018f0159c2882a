import asyncio
from typing import Any

import pytest

from models.batch import change_batch, create_batch
from models.database import Session
from models.event_log import open_log, place_entries, read_entries, read_position
from models.events import Entry, Event, EventType, Notice, SubjectType, append_notice
from models.ids import new_id
from models.stores import Stores
from tests.factories import make_batch, store
from tests.fixtures.stores import NamespaceOfTest


async def place(stores: Stores, namespace: NamespaceOfTest) -> list[Entry]:
    await open_log(namespace.id)
    return await stores.database.transaction(lambda session: place_entries(session, namespace.id))


async def notice(stores: Stores, namespace: NamespaceOfTest, number: int) -> Notice:
    return await stores.database.transaction(
        lambda session: append_notice(
            session,
            namespace.id,
            EventType.OBJECT_CREATED,
            (SubjectType.BUCKET, "bkt_a"),
            data={"number": number},
            bucket_id="bkt_a",
        )
    )


async def write_batch(stores: Stores, namespace: NamespaceOfTest, events: int) -> str:
    batch = make_batch(namespace.id)
    await stores.database.transaction(lambda session: create_batch(session, batch))
    for _ in range(events - 1):
        await stores.database.transaction(
            lambda session: change_batch(
                session, {"_id": batch.id}, {}, EventType.OBJECTS_ADDED, {"added": 1}
            )
        )
    return batch.id


async def test_places_events_and_notices_in_one_row_without_holes(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch_id = await write_batch(stores, namespace, 2)
    written = await notice(stores, namespace, 1)

    assert await read_entries(namespace.id, after=0, limit=10) == []  # not public before
    await place(stores, namespace)
    entries = await read_entries(namespace.id, after=0, limit=10)

    assert [entry.position for entry in entries] == [1, 2, 3]
    assert [entry.subject for entry in entries] == [
        (SubjectType.BATCH, batch_id),
        (SubjectType.BATCH, batch_id),
        (SubjectType.BUCKET, "bkt_a"),
    ]
    assert entries[2].id == written.id
    assert [entry.position for entry in await read_entries(namespace.id, after=1, limit=1)] == [2]
    assert await read_position(namespace.id) == 3


async def test_many_who_place_at_once_give_each_position_once(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    async def write_and_place(number: int) -> None:
        await notice(stores, namespace, number)
        await place(stores, namespace)

    batches = [write_batch(stores, namespace, 4) for _ in range(3)]
    await asyncio.gather(*batches, *(write_and_place(number) for number in range(8)))
    await place(stores, namespace)

    entries = await read_entries(namespace.id, after=0, limit=100)
    assert [entry.position for entry in entries] == list(range(1, 21))
    assert len({entry.id for entry in entries}) == 20
    by_batch: dict[str, list[int]] = {}
    for entry in entries:
        if isinstance(entry, Event):
            by_batch.setdefault(entry.batch_id, []).append(entry.sequence)
    assert list(by_batch.values()) == [[1, 2, 3, 4]] * 3


async def test_a_batch_keeps_its_order_when_the_clocks_of_two_writers_differ(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id)
    late, early = new_id("evt"), new_id("evt")
    await store(
        make_event(batch.id, namespace, 1, max(late, early)),
        make_event(batch.id, namespace, 2, min(late, early)),
    )

    entries = await place(stores, namespace)

    assert [entry.sequence for entry in entries if isinstance(entry, Event)] == [1, 2]


async def test_an_event_that_did_not_fit_takes_its_place_before_later_ones(
    stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = make_batch(namespace.id)
    ids = sorted(new_id("evt") for _ in range(3))
    for sequence, event_id in [(1, ids[2]), (2, ids[0]), (3, ids[1])]:
        await store(make_event(batch.id, namespace, sequence, event_id))
    monkeypatch.setattr("models.event_log._PLACED_AT_ONCE", 2)

    entries = await place(stores, namespace)

    assert [entry.sequence for entry in entries if isinstance(entry, Event)] == [1, 2, 3]


async def test_reading_uses_the_index_and_never_sees_another_namespace(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    await notice(stores, namespace, 1)
    await place(stores, namespace)

    found = {"find": "events", "sort": {"position": 1}}
    plans = [
        {**found, "filter": {"namespace_id": namespace.id, "position": {"$gt": 0}}},
        {**found, "filter": {"namespace_id": namespace.id, "position": 0}, "sort": {"_id": 1}},
        {**found, "filter": {"batch_id": "btc_a", "sequence": {"$gt": 0}}, "sort": {"sequence": 1}},
        {**found, "filter": {"batch_id": "btc_a"}, "sort": {"sequence": 1}},
    ]
    used = [await index_of(stores, plan) for plan in plans]

    assert used == ["position", "unplaced", "sequence", "sequence"]
    assert await read_entries(new_id("ns"), after=0, limit=10) == []


async def index_of(stores: Stores, find: dict[str, Any]) -> str:
    answer = await stores.database.handle.command("explain", find)
    stage = answer["queryPlanner"]["winningPlan"]
    while "inputStage" in stage:
        stage = stage["inputStage"]
    name: str = stage.get("indexName", stage["stage"])
    return name


def make_event(batch_id: str, namespace: NamespaceOfTest, sequence: int, event_id: str) -> Event:
    event: Event = Event.model_validate(
        {
            "id": event_id,
            "namespace_id": namespace.id,
            "batch_id": batch_id,
            "sequence": sequence,
            "type": EventType.BLOCK_DONE,
            "status": "PROCESSING",
        }
    )
    return event


async def test_what_is_undone_leaves_no_notice(stores: Stores, namespace: NamespaceOfTest) -> None:
    async def change_my_mind(session: Session) -> None:
        await append_notice(
            session,
            namespace.id,
            EventType.OBJECT_DELETED,
            (SubjectType.BUCKET, "bkt_a"),
            data={},
        )
        raise LookupError

    with pytest.raises(LookupError):
        await stores.database.transaction(change_my_mind)

    assert await place(stores, namespace) == []
