"""S25: rows that end every call that meets them, or its process, are found; the others go on."""

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine import runner
from engine.inline_pool import InlinePools
from engine.pools import Pool, Pools, ProgressClock
from engine.spec import Extraction
from models.block import Block, Fault, Isolation
from models.ending import end_tasks
from models.errors import ErrorCategory, ExtractorDied, PoolUnavailable
from models.fields import ExtractorChoice
from models.states import BlockStatus
from models.stores import Stores
from tests.engine.batches import (
    blocks_of,
    documents_of,
    errors_of,
    make_run,
    run,
    said,
    submitted,
    texts_in,
    with_engine,
    words_of,
)
from tests.extractors import choice
from tests.factories import make_bucket
from tests.fixtures.stores import NamespaceOfTest

pytestmark = pytest.mark.usefixtures("hasty")
BOUND = 2 * math.log2(16) + 3  # of a block of BLOCK_ROWS rows


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another at once."""
    monkeypatch.setattr(runner, "_BACKOFF_CAP", 0.1)
    monkeypatch.setattr(runner, "_IDLE_SECONDS", 0.05)


class Mortal:
    """Pools whose process dies of the word `kill`; before each call something may happen."""

    def __init__(self, real: Pools, before: Callable[[int], None] = lambda _: None) -> None:
        self._real = real
        self._before = before
        self.calls: list[list[str]] = []

    def pool(self, choice: ExtractorChoice) -> Pool:
        self._pool = self._real.pool(choice)
        return self

    async def extract(self, rows: pa.RecordBatch, progress: ProgressClock) -> Extraction:
        self.calls.append(rows.column("text").to_pylist())
        self._before(len(self.calls))
        if "kill" in self.calls[-1]:
            raise ExtractorDied("The process of constant@v1 ended.")
        return await self._pool.extract(rows, progress)


def texts(poison: str, *, at: int = 9, rows: int = 16) -> list[str]:
    return [poison if number == at else f"word-{number}" for number in range(rows)]


@pytest.mark.parametrize(
    ("poison", "message"),
    [
        ("raise", "ValueError: a word that raises"),
        ("nan", "ValueError: poisoned@v1: embedding holds a number that is not finite"),
        ("dimension", "ValueError: poisoned@v1: expected"),
    ],
)
async def test_s25_a_row_that_fails_its_whole_block_fails_alone(
    stores: Stores,
    namespace: NamespaceOfTest,
    inline: InlinePools,
    tmp_path: Path,
    poison: str,
    message: str,
) -> None:
    bucket = make_bucket(namespace.id)
    calls = tmp_path / "calls"
    collection = words_of(bucket, choice("poisoned@v1", calls=str(calls)))
    above = words_of([collection])
    objects = texts_in(bucket, texts(poison))
    batch = await submitted(stores, bucket, objects, collection, above)

    ended = await run(stores, batch, inline)

    expected = sorted(f"word-{number}" for number in range(16) if number != 9)
    assert await said(collection) == await said(above) == expected
    (error,) = await errors_of(batch)
    assert (error.object_id, error.category) == (objects[9].id, ErrorCategory.RUNTIME)
    assert error.message.startswith(message)
    assert error.attempts == 2
    assert {block.status for block in await blocks_of(batch)} == {BlockStatus.DONE}
    assert (ended.counts.rows_failed, ended.counts.rows_succeeded) == (1, 30)
    assert len(calls.read_text().splitlines()) - 1 <= BOUND


async def test_s25_rows_that_end_their_process_are_found_and_their_neighbours_go_on(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    words = texts("kill", at=5)
    words[2] = "kill"
    batch = await submitted(stores, bucket, texts_in(bucket, words), collection)
    pools = Mortal(inline)

    ended = await run(stores, batch, pools)

    assert len(await documents_of(collection)) == 14
    assert {error.message for error in await errors_of(batch)} == {
        "The process of constant@v1 ended."
    }
    assert {error.category for error in await errors_of(batch)} == {ErrorCategory.RESOURCE}
    assert ended.counts.rows_failed == 2
    passed = [word for call in pools.calls for word in call if "kill" not in call]
    assert len(passed) == len(set(passed)) == 14  # what had passed was not computed again


async def test_a_block_of_which_every_row_fails_ends_after_a_few_runs(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["kill"] * 16), collection)
    pools = Mortal(inline)

    ended = await run(stores, batch, pools)

    (block,) = await blocks_of(batch)
    assert (block.status, ended.counts.rows_failed) == (BlockStatus.FAILED, 16)
    (error,) = await errors_of(batch)
    assert (error.rows, error.message) == (16, "The process of constant@v1 ended.")
    assert len(pools.calls) == 2 + 2 + 3


async def test_a_pool_that_is_away_is_no_row_s_fault(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, texts("kill")), collection)

    def away(call: int) -> None:
        if call == 4:
            raise PoolUnavailable("A node that ran constant@v1 is gone.")

    await run(stores, batch, Mortal(inline, away))

    (error,) = await errors_of(batch)
    assert (error.rows, error.message) == (1, "The process of constant@v1 ended.")
    assert len(await documents_of(collection)) == 15
    (block,) = await blocks_of(batch)
    assert (block.status, block.attempts) == (BlockStatus.DONE, 3)


async def stop_at(stores: Stores, batch: Any, pools: Mortal, call: int) -> None:
    """Let a run end, without a word, in the middle of a call."""
    reached = asyncio.Event()

    def watch(number: int) -> None:
        if number == call:
            reached.set()
            raise asyncio.CancelledError

    pools._before = watch
    running = asyncio.create_task((await make_run(stores, batch, pools)).run())
    await asyncio.wait_for(reached.wait(), 20)
    await end_tasks(running)
    pools._before = lambda _: None
    long_ago = Block.model_fields["lease_until"].default
    await Block.get_pymongo_collection().update_many(
        {"batch_id": batch.id}, {"$set": {"lease_until": long_ago}}
    )


async def test_a_search_goes_on_where_a_dead_process_left_it(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    words = texts("kill")
    batch = await submitted(stores, bucket, texts_in(bucket, words), collection)
    pools = Mortal(inline)

    await stop_at(stores, batch, pools, call=5)
    (left,) = await blocks_of(batch)
    before = len(pools.calls)
    await run(stores, batch, pools)

    assert left.isolation is not None
    assert left.isolation.running is not None
    assert pools.calls[before] == words[:8]  # not the whole again: that it fails is on record
    (error,) = await errors_of(batch)
    assert error.rows == 1
    assert len(await documents_of(collection)) == 15
    assert len(pools.calls) <= BOUND + 1 + 2  # and what the dead process had kept in memory


async def test_s11_a_row_that_ends_every_process_with_ours_is_found_too(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    words = ["a", "b", "kill", "c"]
    batch = await submitted(stores, bucket, texts_in(bucket, words), collection)

    deaths = 0
    while True:
        pools = Mortal(inline)
        try:
            await _run_or_die(stores, batch, pools)
        except ProcessLookupError:
            deaths += 1
            continue
        break

    assert await said(collection) == ["a", "b", "c"]
    (error,) = await errors_of(batch)
    assert error.message == "The process that ran these rows ended without a word."
    assert error.category is ErrorCategory.RESOURCE
    assert deaths <= 2 * math.log2(4) + 3 + 1


async def _run_or_die(stores: Stores, batch: Any, pools: Mortal) -> None:
    """Run a batch in a process that a `kill` ends as well."""
    died = asyncio.Event()

    def die(_: int) -> None:
        if "kill" in pools.calls[-1]:
            died.set()
            raise asyncio.CancelledError

    pools._before = die
    running = asyncio.create_task((await make_run(stores, batch, pools)).run())
    death = asyncio.create_task(died.wait())
    await asyncio.wait({running, death}, return_when=asyncio.FIRST_COMPLETED)
    await end_tasks(running, death)
    if died.is_set():
        long_ago = Block.model_fields["lease_until"].default
        await Block.get_pymongo_collection().update_many(
            {"batch_id": batch.id}, {"$set": {"lease_until": long_ago}}
        )
        raise ProcessLookupError


async def test_a_search_that_takes_too_long_gives_up_what_is_still_suspected(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    words = texts("kill", at=1, rows=4)
    batch = await submitted(stores, bucket, texts_in(bucket, words), collection)
    whole = Fault(start=0, stop=4, category=ErrorCategory.RESOURCE, message="ended")
    state = Isolation(faults=[whole, whole], runs=16 * 7 - 2)
    await Block.get_pymongo_collection().update_one(
        {"batch_id": batch.id}, {"$set": {"isolation": state.model_dump()}}
    )

    ended = await run(stores, batch, Mortal(inline))

    assert await said(collection) == ["word-2", "word-3"]
    assert ended.counts.rows_failed == 2


async def test_an_extractor_of_the_whole_tier_is_not_given_parts_of_it(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    first = words_of(bucket, choice("constant@v1"))
    whole = words_of([first], choice("whole@v1"))
    texts = ["a kill", "b"]  # fatal as a word of its own only, hence in the second tier
    batch = await submitted(stores, bucket, texts_in(bucket, texts), first, whole)
    pools = Mortal(inline)

    await run(stores, batch, pools)

    assert pools.calls == [texts, *([["a", "kill", "b"]] * 3)]
    (error,) = await errors_of(batch)
    assert (error.collection_id, error.rows) == (whole.id, 3)


@pytest.mark.long
@pytest.mark.stack
async def test_s25_on_ray_deaths_hangs_and_exits_cost_their_rows_only(
    stores: Stores, namespace: NamespaceOfTest, ray_driver: None, tmp_path: Path
) -> None:
    from engine.ray_pool import RayPools

    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("poisoned@v1"))
    poisons = {"segfault": "RESOURCE", "oom": "RESOURCE", "exit": "RESOURCE", "loop": "TIMEOUT"}
    objects = texts_in(bucket, ["segfault", "word", "oom", "exit", "loop"])
    batch = await submitted(with_engine(stores, block_rows=2), bucket, objects, collection)
    pools = RayPools(tmp_path, size=2)
    try:
        ended = await run(with_engine(stores, lease_seconds=3.0), batch, pools)
    finally:
        pools.close()

    assert await said(collection) == ["word"]
    places = {one.id: one.blobs[0].text for one in objects}
    found = {places[error.object_id or ""]: error.category for error in await errors_of(batch)}
    assert found == poisons
    assert (ended.counts.rows_failed, ended.counts.rows_succeeded) == (4, 1)
