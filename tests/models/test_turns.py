"""Which batch is looked at first: by priority and age in a namespace, in rotation between them."""

from datetime import timedelta
from typing import Any

import pytest

from models.batch import Batch, read_due_batches
from models.events import Event, read_events
from models.ids import new_id
from models.states import BatchStatus
from models.stored import now
from models.stores import Stores
from models.turns import PRIORITY_SECONDS, set_priority, turn_of
from tests.factories import make_batch, store
from tests.fixtures.stores import NamespaceOfTest


@pytest.fixture(autouse=True)
async def only_ours(stores: Stores) -> None:
    """All due batches are read: leave those of the test alone."""
    await Batch.get_pymongo_collection().delete_many({})


async def queued(namespace_id: str, *, priority: int = 0, minutes: float = 0, **values: Any) -> str:
    """Store a batch that was queued so many minutes ago."""
    turn = turn_of(now() - timedelta(minutes=minutes), priority)
    usual = {"status": "QUEUED", "priority": priority, "turn_at": turn}
    batch = make_batch(namespace_id, **{**usual, **values})
    await store(batch)
    return batch.id


async def set_to(stores: Stores, batch_id: str, priority: int) -> Event | None:
    return await stores.database.transaction(lambda s: set_priority(s, batch_id, priority))


async def test_the_highest_priority_is_first_and_among_equals_the_oldest(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    new = await queued(namespace.id)
    low = await queued(namespace.id, priority=-3, minutes=2)
    old = await queued(namespace.id, minutes=5)
    high = await queued(namespace.id, priority=1)

    assert await read_due_batches(limit=10) == [high, old, new, low]


async def test_the_lowest_priority_is_overtaken_for_so_long_and_no_longer(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    lowest = await queued(namespace.id, priority=-10, minutes=20 * PRIORITY_SECONDS / 60 + 1)
    urgent = [await queued(namespace.id, priority=10) for _ in range(3)]

    assert await read_due_batches(limit=10) == [lowest, *urgent]


async def test_each_namespaces_first_comes_before_any_ones_second(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    many = [await queued(namespace.id, priority=10, minutes=9 - n) for n in range(4)]
    other = new_id("ns")
    little = await queued(other, priority=-10)

    assert await read_due_batches(limit=3) == [many[0], little, many[1]]


async def test_what_is_under_way_is_not_kept_from_its_end_by_what_waits(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    for _ in range(3):
        await queued(namespace.id, priority=10, minutes=60)
    ending = await queued(namespace.id, priority=-10, status="CANCELING")

    assert ending in await read_due_batches(limit=2)


async def test_a_priority_moves_the_turn_and_is_told_of_once(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    first, second = [await queued(namespace.id, minutes=minutes) for minutes in (2, 1)]
    before = (await namespace.scope.require(Batch, second)).turn_at

    told = [await set_to(stores, second, 4), await set_to(stores, second, 4)]
    assert await read_due_batches(limit=10) == [second, first]
    await set_to(stores, second, 0)

    assert [event is not None for event in told] == [True, False]
    assert (await namespace.scope.require(Batch, second)).turn_at == before
    assert await read_due_batches(limit=10) == [first, second]
    events = await read_events(second, after=0, limit=9)
    assert [event.data for event in events] == [
        {"priority": 4, "before": 0},
        {"priority": 0, "before": 4},
    ]


@pytest.mark.parametrize("status", sorted(set(BatchStatus) - {"QUEUED", "PROCESSING"}))
async def test_only_what_waits_or_runs_has_another_priority(
    stores: Stores, namespace: NamespaceOfTest, status: str
) -> None:
    assert await set_to(stores, await queued(namespace.id, status=status), 3) is None
