import asyncio
import random
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

from models.batch import Batch, change_batch, create_batch
from models.database import Session
from models.events import (
    STATUS_EVENTS,
    Event,
    EventType,
    SubjectType,
    append_event,
    append_notice,
    deletions,
    read_deleted_batches,
    read_events,
    read_transitions,
)  # fmt: skip
from models.states import BatchStatus
from models.stored import now
from models.stores import Stores
from tests.factories import make_batch, store
from tests.fixtures.stores import NamespaceOfTest

WRITERS = 12


class ChangedMyMind(Exception):
    """Raised inside a transaction, which undoes it."""


async def open_batch(stores: Stores, namespace: NamespaceOfTest) -> Batch:
    batch = make_batch(namespace.id)
    await stores.database.transaction(lambda session: create_batch(session, batch))
    return batch


async def write_one(stores: Stores, batch: Batch, number: int) -> Event | None:
    change = {"$inc": {"counts.documents_written": 1}}

    async def work(session: Session) -> Event | None:
        event = await change_batch(
            session, {"_id": batch.id}, change, EventType.BLOCK_DONE, {"number": number}
        )
        await asyncio.sleep(random.random() / 100)
        if number % 3 == 0:
            raise ChangedMyMind
        return event

    try:
        return await stores.database.transaction(work)
    except ChangedMyMind:
        return None


async def test_the_first_event_has_number_one(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = await open_batch(stores, namespace)

    [event] = await read_events(batch.id, after=0, limit=10)

    assert (event.sequence, event.type, event.status) == (1, "batch.created", "DRAFT")
    assert event.namespace_id == namespace.id


async def test_numbers_have_no_holes_and_follow_the_order_of_commits(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await open_batch(stores, namespace)
    pipeline = [{"$match": {"fullDocument.batch_id": batch.id}}]
    async with await Event.get_pymongo_collection().watch(pipeline) as commits:
        made = await asyncio.gather(*(write_one(stores, batch, n) for n in range(WRITERS)))
        written = [event for event in made if event is not None]
        committed = [(await commits.next())["fullDocument"]["sequence"] for _ in written]

    events = await read_events(batch.id, after=0, limit=100)
    after = await namespace.scope.require(Batch, batch.id)
    assert len(written) == WRITERS - 4
    assert committed == [event.sequence for event in events[1:]]
    assert [event.sequence for event in events] == list(range(1, after.sequence + 1))
    # Each event holds the counts right after its own change.
    assert [event.counts["documents_written"] for event in events] == list(range(len(events)))


async def test_a_change_that_matched_nothing_leaves_no_event(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await open_batch(stores, namespace)
    nothing = {"_id": batch.id, "status": "QUEUED"}

    event = await stores.database.transaction(
        lambda session: change_batch(session, nothing, {}, EventType.OBJECTS_ADDED)
    )

    assert event is None
    assert len(await read_events(batch.id, after=0, limit=10)) == 1
    assert (await namespace.scope.require(Batch, batch.id)).sequence == 1


async def test_one_number_is_never_given_twice(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = await open_batch(stores, namespace)
    row = batch.to_mongo()

    with pytest.raises(DuplicateKeyError):
        await stores.database.transaction(
            lambda session: append_event(session, row, EventType.BATCH_QUEUED)
        )


async def test_reading_goes_on_after_a_number_in_slices(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id)
    await store(*(make_event(batch, sequence=number) for number in (5, 3, 1, 4, 2)))
    await store(make_event(make_batch(namespace.id), sequence=3))

    slices = [await read_events(batch.id, after=after, limit=2) for after in (0, 2, 4, 5)]

    assert [[event.sequence for event in part] for part in slices] == [[1, 2], [3, 4], [5], []]


def make_event(batch: Batch, **values: Any) -> Event:
    event: Event = Event.model_validate(
        {
            "id": f"evt_{batch.id}_{values['sequence']}",
            "namespace_id": batch.namespace_id,
            "batch_id": batch.id,
            "type": EventType.BLOCK_DONE,
            "status": batch.status,
            **values,
        }
    )
    return event


async def test_transitions_are_the_changes_of_status_alone(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id)
    kinds = ["batch.created", "batch.objects_added", "batch.queued", "batch.processing",
             "block.done", "batch.handed_over", "batch.completed"]  # fmt: skip
    await store(
        *(make_event(batch, sequence=n, type=kind) for n, kind in enumerate(kinds, start=1))
    )

    found = await read_transitions(batch.id)

    assert [event.sequence for event in found] == [1, 3, 4, 7]


def test_every_status_has_an_event_of_its_own() -> None:
    assert set(STATUS_EVENTS) == set(BatchStatus)
    assert len(set(STATUS_EVENTS.values())) == len(BatchStatus)


async def test_deletions_are_found_without_a_look_at_other_events(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    began = now()
    batch = await open_batch(stores, namespace)
    for number in range(1, 20):
        await write_one(stores, batch, number)
    await stores.database.transaction(
        lambda session: append_notice(
            session,
            namespace.id,
            EventType.BATCH_DELETED,
            (SubjectType.BATCH, "btc_1"),
            data={},
        )
    )

    find = {"find": "events", "filter": deletions(namespace.id, began), "sort": {"at": 1}}
    answer = await stores.database.handle.command("explain", find, verbosity="executionStats")

    assert answer["executionStats"]["totalDocsExamined"] == 1
    assert await read_deleted_batches(namespace.id, began) == ["btc_1"]
    assert await read_deleted_batches(namespace.id, now()) == []
