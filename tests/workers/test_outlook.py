"""Estimates: the arithmetic on states made up in MongoDB, and the estimate of a real run."""

import asyncio
import math
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from engine.inline_pool import InlinePools
from engine.pools import Pool, ProgressClock
from engine.spec import Extraction
from models.batch import Batch
from models.fields import ExtractorChoice
from models.rollup import Rollup
from models.scope import Scope
from models.stored import now
from models.stores import Stores
from models.vitals import read_block_groups
from tests.factories import (
    make_batch,
    make_block,
    make_bucket,
    make_collection,
    make_reader,
    store,
)
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import inline_engine, open_job, submit, with_engine, with_quotas
from workers.batches import reconcile
from workers.outlook.estimates import Estimate, estimate_batches
from workers.outlook.passage import Entry, Passage, run_ahead

COLLECTION = "col_0"
LATER = "col_1"


def ago(minutes: float) -> datetime:
    return now() - timedelta(minutes=minutes)


def entry(name: str, seconds: float, lanes: float = 4, *, under_way: bool = False) -> Entry:
    return Entry(name, seconds, lanes, under_way)


def test_those_that_wait_are_taken_as_places_become_free() -> None:
    entries = [
        entry("a", 40, under_way=True), entry("b", 80, under_way=True), entry("c", 40),
        entry("d", 4),
    ]  # fmt: skip

    found = run_ahead(entries, slots=16, places=2)

    assert found == {
        "a": Passage(0, 10), "b": Passage(0, 20), "c": Passage(10, 20), "d": Passage(20, 21),
    }  # fmt: skip


def test_those_under_way_share_the_slots() -> None:
    found = run_ahead([entry("a", 20, under_way=True), entry("b", 40)], slots=4)

    assert found == {"a": Passage(0, 10), "b": Passage(0, 15)}  # two each, then four for b


def test_what_has_no_known_end_keeps_its_place() -> None:
    entries = [entry("a", math.inf, under_way=True), entry("b", 8, under_way=True), entry("c", 8)]

    assert run_ahead(entries, slots=16, places=2)["c"] == Passage(2, 4)
    assert run_ahead(entries[:1] + entries[2:], slots=16, places=1)["c"] == Passage()


def rollup(namespace: NamespaceOfTest, **values: Any) -> Rollup:
    """Return an hour in which four blocks of ten rows took two minutes each."""
    usual: dict[str, Any] = {
        "id": f"{namespace.id}/{values}", "namespace_id": namespace.id, "hour": ago(120),
        "collection_id": COLLECTION, "extractor": "passthrough@v1",
        "counts": {"rows_in": 40, "blocks_done": 4},
        "timings": {"block": {"count": 4, "seconds": 480.0, "buckets": {}}},
    }  # fmt: skip
    made: Rollup = Rollup.model_validate({**usual, **values})
    return made


def under_way(namespace: NamespaceOfTest, **values: Any) -> Batch:
    usual = {"status": "PROCESSING", "lease_until": now() + timedelta(minutes=30)}
    return make_batch(namespace.id, **{**usual, **values})


def queued(namespace: NamespaceOfTest, **values: Any) -> Batch:
    return make_batch(namespace.id, **{"status": "QUEUED", **values})


def ready(batch: Batch, **values: Any) -> Any:
    return make_block(batch, **{"collection_id": COLLECTION, "rows": 10, **values})


def leased(batch: Batch, **values: Any) -> Any:
    held = {"status": "LEASED", "lease_until": now() + timedelta(minutes=30)}
    return ready(batch, **{**held, "started_at": ago(0), **values})


def done(batch: Batch, minutes: float, **values: Any) -> Any:
    times = {"started_at": ago(100), "finished_at": ago(100 - minutes)}
    return ready(batch, status="DONE", **times, **values)


async def estimates(stores: Stores, scope: Scope) -> dict[str, Estimate]:
    return await estimate_batches(
        stores.settings, scope, lambda submissions: read_block_groups(scope, submissions)
    )


async def minutes(stores: Stores, batch: Batch) -> tuple[int | None, int | None]:
    """Return in how many whole minutes a batch is likely to begin and to end."""
    found = (await estimates(stores, Scope(batch.namespace_id)))[batch.id]
    moments = (found.start_at, found.finish_at)
    left = (None if one is None else (one - now()) / timedelta(minutes=1) for one in moments)
    begins, ends = (None if one is None else round(one) for one in left)
    return begins, ends


async def test_what_is_ahead_and_what_is_left_at_the_pace_of_late(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    one_place = with_quotas(stores, processing_batches=1)
    first, second = under_way(namespace), queued(namespace)
    await store(rollup(namespace), first, second)
    await store(*(ready(first) for _ in range(16)), *(ready(second) for _ in range(6)))

    # 16 blocks of 2 minutes, four at a time; then 6.
    assert await minutes(one_place, first) == (None, 8)
    assert await minutes(one_place, second) == (8, 11)
    assert await minutes(stores, second) == (0, 3)


async def test_its_own_blocks_say_more_than_others_did(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = under_way(namespace)
    await store(rollup(namespace), batch, *(ready(batch) for _ in range(8)))
    await store(*(done(batch, 20) for _ in range(2)))

    assert await minutes(stores, batch) == (None, 40)


async def test_rows_count_and_not_blocks(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = queued(namespace)
    await store(rollup(namespace), batch, *(ready(batch, rows=100) for _ in range(4)))

    assert await minutes(stores, batch) == (0, 20)


async def test_what_is_in_work_has_come_some_way(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = under_way(namespace)
    await store(batch, done(batch, 20), *(leased(batch, started_at=ago(15)) for _ in range(4)))
    late = under_way(namespace)
    await store(late, done(late, 20), leased(late, started_at=ago(99)))

    assert await minutes(stores, batch) == (None, 5)
    assert await minutes(stores, late) == (None, 0)


async def test_what_it_is_given_is_what_it_has_in_work(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = under_way(namespace)
    await store(batch, done(batch, 10), leased(batch), *(ready(batch) for _ in range(3)))

    assert await minutes(stores, batch) == (None, 40)  # one at a time


async def test_a_later_tier_comes_after_the_one_before(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = under_way(namespace)
    first = leased(batch)
    later = rollup(namespace, collection_id=LATER)
    await store(rollup(namespace), later, batch, first)
    await store(make_reader(batch, first, collection_id=LATER))

    assert await minutes(stores, batch) == (None, 4)


async def test_another_attempt_begins_when_it_is_due(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = under_way(namespace)
    due = now() + timedelta(minutes=60)
    await store(rollup(namespace), batch, done(batch, 2), ready(batch, not_before=due))

    assert await minutes(stores, batch) == (60, 62)


async def test_an_extractor_seen_at_work_elsewhere_is_known(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    fresh = make_collection(make_bucket(namespace.id))
    known, strange = queued(namespace), queued(namespace)
    await store(rollup(namespace), fresh, known, strange)
    await store(ready(known, collection_id=fresh.id), ready(strange, collection_id="col_unseen"))

    assert await minutes(stores, known) == (0, 2)
    assert await minutes(stores, strange) == (0, None)


async def test_what_was_long_ago_is_not_known(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = queued(namespace)
    await store(rollup(namespace, hour=ago(8 * 24 * 60)), batch, ready(batch))

    assert await minutes(stores, batch) == (0, None)


WAITS = {"code": "WAITING_FOR_ENGINE", "message": "Ray does not answer."}


@pytest.mark.parametrize(
    "values",
    [
        {"hold": "PAUSED"},
        {"status": "QUEUED", "hold": "PAUSED"},
        {"status": "QUEUED", "updated_at": ago(60)},
        {"status": "QUEUED", "reason": WAITS},
        {"lease_until": ago(60)},
    ],
    ids=["paused", "paused in the queue", "no worker", "no engine", "no conductor"],
)
async def test_while_nobody_works_on_it_nothing_is_known(
    stores: Stores, namespace: NamespaceOfTest, values: dict[str, Any]
) -> None:
    batch = under_way(namespace, **values)
    await store(rollup(namespace), batch, ready(batch))

    assert await minutes(stores, batch) == (None, None)


async def test_what_is_stopped_ends_with_what_is_in_work(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = under_way(namespace, hold="STOPPING")
    await store(rollup(namespace), batch, leased(batch), *(ready(batch) for _ in range(99)))

    assert await minutes(stores, batch) == (None, 2)


async def test_a_paused_batch_keeps_no_place(stores: Stores, namespace: NamespaceOfTest) -> None:
    one_place = with_quotas(stores, processing_batches=1)
    paused, batch = under_way(namespace, hold="PAUSED"), queued(namespace)
    await store(rollup(namespace), paused, batch, ready(paused), ready(batch))

    assert await minutes(one_place, batch) == (0, 2)


async def test_other_namespaces_say_nothing(stores: Stores, namespace: NamespaceOfTest) -> None:
    batch = queued(namespace)
    await store(rollup(namespace, namespace_id="ns_other"), batch, ready(batch))

    assert list(await estimates(stores, namespace.scope)) == [batch.id]
    assert await estimates(stores, Scope("ns_empty")) == {}
    assert await minutes(stores, batch) == (0, None)


class SlowPools:
    """Pools whose extractors take a while for each block, several at a time."""

    def __init__(self, pools: InlinePools, seconds: float) -> None:
        self._pools = pools
        self._seconds = seconds

    def pool(self, choice: ExtractorChoice) -> Pool:
        """Return the pool of a choice, slowed down."""
        return _SlowPool(self._pools.pool(choice), self._seconds)


class _SlowPool:
    def __init__(self, pool: Pool, seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds

    async def extract(self, rows: pa.RecordBatch, progress: ProgressClock) -> Extraction:
        with progress.waiting():
            await asyncio.sleep(self._seconds)
        return await self._pool.extract(rows, progress)


async def test_the_estimate_of_a_real_run_is_right_within_a_factor_of_two(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    """Asked when a quarter of its blocks are done; what is left takes as long, give or take."""
    job = await open_job(stores := with_engine(stores, block_rows=1), namespace.scope, objects=32)
    await submit(stores, job)

    async with inline_engine(stores, SlowPools(InlinePools(stores.settings.cache), 0.12)) as engine:
        await reconcile(stores, engine, job.batch_id)
        while (await job.batch()).blocks_open > 24:
            await asyncio.sleep(0.01)
        asked = now()
        told = (await estimates(stores, job.scope))[job.batch_id].finish_at
        await engine.runs[0]
        took = (now() - asked).total_seconds()

    assert told is not None
    assert took / 2 < (told - asked).total_seconds() < took * 2
