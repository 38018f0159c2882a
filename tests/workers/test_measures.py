"""What a worker measures of the state: what waits, and for how long."""

from dataclasses import replace
from datetime import timedelta

import pytest

from models import metrics
from models.settings import MonitorSettings
from models.states import BatchStatus
from models.stored import now
from models.stores import Stores
from tests.factories import make_batch, make_delivery, make_webhook, store
from tests.fixtures.stores import NamespaceOfTest
from workers import measures
from workers.measures import Measures, measure


async def test_measures_what_waits_and_how_long_the_oldest_has(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    await measure(stores)
    before = [metrics.BATCHES.labels("QUEUED"), metrics.BLOCKS_OPEN, metrics.PENDING]
    seen = [gauge._value.get() for gauge in before]
    old = now() - timedelta(days=400)
    waiting = make_delivery(make_webhook(namespace.id), status="PENDING", not_before=old)
    live, ended = (
        make_batch(namespace.id, status=status, submitted_at=old, blocks_open=blocks)
        for status, blocks in ((BatchStatus.QUEUED, 7), (BatchStatus.COMPLETED, 9))
    )
    await store(live, ended, waiting)

    await measure(stores)

    for one in (live, waiting):  # other tests' sweeps must not come to them
        await type(one).get_pymongo_collection().delete_one({"_id": one.id})
    now_seen = [gauge._value.get() for gauge in before]
    assert [after - was for after, was in zip(now_seen, seen, strict=True)] == [1, 7, 1]
    assert metrics.OLDEST_BATCH._value.get() > 399 * 86_400
    assert metrics.OLDEST_PENDING._value.get() > 399 * 86_400
    assert metrics.QUEUE.labels("batches")._value.get() >= 0


async def test_measures_only_where_somebody_looks_and_not_all_the_time(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = 0

    async def count(_: Stores) -> None:
        nonlocal done
        done += 1

    monkeypatch.setattr(measures, "measure", count)
    unseen = Measures()
    await unseen.measure(stores)
    assert done == 0
    settings = stores.settings.model_copy(update={"monitor": MonitorSettings(worker_port=0)})
    seen = Measures()
    for _ in range(3):
        await seen.measure(replace(stores, settings=settings))
    assert done == 1
