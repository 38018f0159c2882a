"""A namespace with much work does not starve one with little."""

import asyncio
import itertools
from collections.abc import Callable

import pytest

from engine.inline_pool import InlinePools
from engine.slots import PRIORITY_SECONDS, Slots
from models.batch import Batch
from models.ids import new_id
from models.stored import LONG_AGO
from models.stores import Stores
from tests.engine.batches import (
    blocks_of,
    make_run,
    reread,
    submitted,
    texts_in,
    with_engine,
    words_of,
)
from tests.factories import make_bucket
from tests.fixtures.stores import NamespaceOfTest
from workers.namespaces import open_namespace
from workers.steering import set_batch_priority


async def test_a_free_slot_goes_to_whoever_holds_the_fewest() -> None:
    slots = Slots(3)
    held = [slots.ask("large") for _ in range(3)]
    waiting = [slots.ask("large") for _ in range(5)]
    small = slots.ask("small")
    assert [one.done() for one in (*held, *waiting, small)] == [True] * 3 + [False] * 6

    slots.give_back("large")

    assert small.done()
    assert not any(one.done() for one in waiting)


async def test_equals_are_served_in_the_order_they_came() -> None:
    slots = Slots(1)
    slots.ask("busy")
    first, second = slots.ask("a"), slots.ask("b")

    slots.give_back("busy")
    assert (first.done(), second.done()) == (True, False)

    slots.give_back("a")
    assert second.done()


async def test_a_namespaces_most_urgent_is_served_first() -> None:
    slots = Slots(1)
    slots.ask("busy")
    usual, low, high = (slots.ask("a", priority) for priority in (0, -1, 3))

    for served in (high, usual, low):
        assert not served.done()
        slots.give_back("busy" if served is high else "a")
        assert served.done()


async def test_priority_buys_nothing_from_a_namespace_that_holds_less() -> None:
    slots = Slots(2)
    slots.ask("urgent", 10)
    slots.ask("urgent", 10)
    urgent, modest = slots.ask("urgent", 10), slots.ask("modest", -10)

    slots.give_back("urgent")

    assert (urgent.done(), modest.done()) == (False, True)


async def test_the_least_urgent_is_overtaken_for_so_long_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = itertools.count(0.0, PRIORITY_SECONDS)  # later by so much at each look; no await below
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: next(clock))
    slots = Slots(1)
    slots.ask("a", 10)
    least, overtaken = slots.ask("a", -10), 0

    while not least.done() and overtaken < 100:
        slots.ask("a", 10)
        slots.give_back("a")
        overtaken += 1

    assert overtaken == 20


async def test_what_is_withdrawn_takes_nothing_away() -> None:
    slots = Slots(1)
    mine, waiting, last = slots.ask("a"), slots.ask("b"), slots.ask("c")

    slots.withdraw("b", waiting)
    slots.withdraw("a", mine)

    assert last.done()
    assert waiting.cancelled()


async def test_s24_a_namespace_with_many_batches_does_not_starve_another(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    single = with_engine(stores, block_rows=1)
    other, _ = await open_namespace(stores, new_id("ns"))
    many = [await _batch(single, namespace.id) for _ in range(8)]
    little = await _batch(single, other.id)
    slots = Slots(2)

    greedy = [
        asyncio.create_task((await make_run(single, one, inline, slots)).run()) for one in many
    ]
    async with asyncio.timeout(40):
        while await _done(many) < 2:
            await asyncio.sleep(0)
        before = await _done(many)
        await (await make_run(single, little, inline, slots)).run()
        meanwhile = await _done(many) - before
        await asyncio.gather(*greedy)

    assert (await reread(little)).counts.documents_written == 4
    assert meanwhile <= 3 * 4 + 4  # with one queue for all it would be eight for each of its blocks
    assert await _done(many) == 32


async def test_the_blocks_of_the_more_urgent_batch_begin_first(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    single = with_engine(stores, block_rows=1, lease_seconds=2)
    usual, made_urgent = [await _batch(single, namespace.id) for _ in range(2)]
    slots = _WatchedSlots(1)
    slots.ask(namespace.id)

    async with asyncio.timeout(40):
        runs = [asyncio.create_task((await make_run(single, usual, inline, slots)).run())]
        await _until(lambda: len(slots.asked) == 2)  # the usual one has waited longer
        runs.append(asyncio.create_task((await make_run(single, made_urgent, inline, slots)).run()))
        await _until(lambda: len(slots.asked) == 3)
        await set_batch_priority(single, namespace.scope, made_urgent.id, 10)
        await _until(lambda: slots.asked[-1] == 10)
        slots.give_back(namespace.id)
        await asyncio.gather(*runs)

    blocks = [*await blocks_of(usual), *await blocks_of(made_urgent)]
    begun = sorted((one.started_at or LONG_AGO, one.batch_id) for one in blocks)
    assert [batch_id for _, batch_id in begun] == [made_urgent.id] * 4 + [usual.id] * 4


class _WatchedSlots(Slots):
    """Remembers with which priority each slot was asked for."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self.asked: list[int] = []

    def ask(self, namespace_id: str, priority: int = 0) -> "asyncio.Future[None]":
        """Ask as usual."""
        self.asked.append(priority)
        return super().ask(namespace_id, priority)


async def _until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


async def _batch(stores: Stores, namespace_id: str) -> Batch:
    """Return a claimed batch of four blocks."""
    bucket = make_bucket(namespace_id)
    return await submitted(stores, bucket, texts_in(bucket, ["a"] * 4), words_of(bucket))


async def _done(batches: list[Batch]) -> int:
    """Return how many blocks have ended."""
    now = [await reread(batch) for batch in batches]
    return sum(one.blocks_total - one.blocks_open for one in now)
