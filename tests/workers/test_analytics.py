import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.errors import InvalidInput
from models.event_log import EventLog
from models.rollup import Rollup, bucket_of, percentile
from models.scope import Scope
from models.stores import Stores
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import Job, inline_engine, open_job, submit
from workers.analytics import Dimension, Interval, Question, Row, answer, roll_up
from workers.batches import reconcile
from workers.events import publish

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=366)


async def run_job(stores: Stores, namespace: NamespaceOfTest, *, rows: list[Any]) -> Job:
    """Run a batch of two tiers to its end and publish its events."""
    job = await open_job(stores, namespace.scope, rows=rows, collections=2)
    await submit(stores, job)
    async with inline_engine(stores) as engine, asyncio.timeout(20):
        while (await job.batch()).finished_at is None:
            await reconcile(stores, engine, job.batch_id)
            await asyncio.sleep(0.01)
    await publish(stores, namespace.id)
    return job


async def roll_up_to_the_end(stores: Stores, namespace_id: str) -> None:
    while await roll_up(stores, namespace_id):
        pass


async def ask(namespace: NamespaceOfTest, **values: Any) -> list[Row]:
    return await answer(namespace.scope, Question(SINCE, UNTIL, **values))


async def test_every_event_counts_once_whoever_adds_it(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await run_job(stores, namespace, rows=[{"number": n} for n in range(20)])

    await asyncio.gather(*(roll_up_to_the_end(stores, namespace.id) for _ in range(4)))

    (row,) = await ask(namespace)
    assert (row.counts["batches_queued"], row.counts["batches_completed"]) == (1, 1)
    assert (row.counts["rows_in"], row.counts["documents_written"]) == (40, 40)
    assert row.counts["blocks_done"] == len(await job.blocks())
    assert {"queue", "run", "read", "extract", "store", "block"} <= row.durations.keys()
    assert row.durations["queue"].count == row.durations["run"].count == 1
    assert row.durations["block"].seconds > 0


async def test_collections_are_told_apart_and_say_nothing_of_batches(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await run_job(stores, namespace, rows=[{"number": n} for n in range(5)])
    await roll_up_to_the_end(stores, namespace.id)

    rows = await ask(namespace, by=frozenset({Dimension.COLLECTION, Dimension.EXTRACTOR}))
    one = await ask(namespace, match={"collection_id": job.collections[1].id})
    other = await ask(namespace, match={"bucket_id": "bkt_other"})

    assert {row.collection_id for row in rows} == {one.id for one in job.collections}
    assert {row.extractor for row in rows} == {"passthrough@v1"}
    assert [row.counts["documents_written"] for row in rows] == [5, 5]
    assert all("batches_queued" not in row.counts for row in rows)
    assert [row.counts["documents_written"] for row in one] == [5]
    assert other == []


async def test_time_is_cut_into_hours_or_days(stores: Stores, namespace: NamespaceOfTest) -> None:
    await run_job(stores, namespace, rows=[{"number": 1}])
    await roll_up_to_the_end(stores, namespace.id)
    hour = (await ask(namespace, interval=Interval.HOUR))[0].time

    day = (await ask(namespace, interval=Interval.DAY))[0].time

    assert (hour.minute, day.hour, day.date()) == (0, 0, hour.date())
    before = Question(SINCE, hour.replace(minute=0))
    assert await answer(namespace.scope, before) == []


async def test_nothing_of_another_namespace_is_counted(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    await run_job(stores, namespace, rows=[{"number": 1}])
    await roll_up_to_the_end(stores, namespace.id)

    assert await answer(Scope("ns_other"), Question(SINCE, UNTIL)) == []


async def test_an_unfinished_addition_leaves_nothing(
    stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run_job(stores, namespace, rows=[{"number": 1}])

    def die() -> None:
        raise RuntimeError("The worker dies here.")

    with monkeypatch.context() as patch:
        patch.setattr(Rollup, "get_pymongo_collection", die)
        with pytest.raises(RuntimeError):
            await roll_up(stores, namespace.id)
    row = await EventLog.get_pymongo_collection().find_one({"_id": namespace.id})
    assert row is not None
    assert row["rolled_up"] == 0
    await roll_up_to_the_end(stores, namespace.id)
    (found,) = await ask(namespace)
    assert found.counts["batches_completed"] == 1


@pytest.mark.parametrize(
    ("since", "until", "path"),
    [(UNTIL, SINCE, "until"), (SINCE, SINCE, "until"), (SINCE, SINCE.replace(2030), "since")],
)
async def test_times_that_make_no_sense_are_refused(
    namespace: NamespaceOfTest, since: datetime, until: datetime, path: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await answer(namespace.scope, Question(since, until))

    assert refused.value.path == (path,)


def test_a_percentile_is_at_most_a_fifth_too_large() -> None:
    values = sorted(random.Random(1).lognormvariate(0, 2) for _ in range(2000))
    buckets: dict[str, float] = {}
    for value in values:
        name = str(bucket_of(value))
        buckets[name] = buckets.get(name, 0) + 1

    for share in (0.5, 0.95, 0.99):
        exact = values[int(share * len(values)) - 1]
        found = percentile(buckets, share)
        assert found is not None
        assert exact <= found <= exact * 1.2
    assert percentile({}, 0.5) is None
