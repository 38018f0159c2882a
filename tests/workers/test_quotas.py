"""What a namespace may submit, and how much of it is under way at once."""

import asyncio
from typing import Any

import pytest

from models.batch import Batch, claim_batch
from models.bus import Listener
from models.database import Session
from models.errors import LimitExceeded
from models.ids import new_id
from models.schedule import Schedule, ScheduleRun
from models.scope import Scope
from models.stored import LONG_AGO
from models.stores import Stores
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import (
    Job,
    inline_engine,
    open_job,
    stored_keys,
    submit,
    with_quotas,
)  # fmt: skip
from workers import batches
from workers.batches import cancel_batch, reconcile
from workers.reopening import RetryChoice
from workers.retries import retry_batch
from workers.steering import pause_batch, resume_batch, set_batch_priority
from workers.submissions import submit_batch
from workers.sweeps import sweep


@pytest.fixture(autouse=True)
async def only_ours(stores: Stores) -> None:
    """A sweep looks at every batch and schedule there is: leave it those of the test alone."""
    for model in (Batch, Schedule, ScheduleRun):
        await model.get_pymongo_collection().delete_many({})


async def jobs_of(stores: Stores, scope: Scope, count: int, **how: Any) -> list[Job]:
    return [await open_job(stores, scope, objects=1, name=str(n), **how) for n in range(count)]


async def queued(stores: Stores, scope: Scope, count: int) -> list[Job]:
    jobs = await jobs_of(stores, scope, count)
    for job in jobs:
        await submit(stores, job)
    return jobs


async def statuses(jobs: list[Job]) -> list[str]:
    return [str((await job.batch()).status) for job in jobs]


async def reasons(jobs: list[Job]) -> list[str | None]:
    found = [(await job.batch()).reason for job in jobs]
    return [None if reason is None else reason.code for reason in found]


async def let_lapse(jobs: list[Job]) -> None:
    await Batch.get_pymongo_collection().update_many(
        {"_id": {"$in": [job.batch_id for job in jobs]}}, {"$set": {"lease_until": LONG_AGO}}
    )


class Idle:
    """An engine that takes batches and does nothing with them."""

    def __init__(self) -> None:
        self.handed: list[str] = []

    async def connect(self) -> None:
        """Be there."""

    async def hand_over(self, batch_id: str, epoch: int) -> None:
        """Note the batch."""
        self.handed.append(batch_id)

    async def stop(self, batch_id: str) -> None:
        """Do nothing."""


async def test_two_workers_at_once_keep_within_the_quota(stores: Stores) -> None:
    capped = with_quotas(stores, processing_batches=2)
    for _ in range(2):
        jobs = await queued(capped, Scope(new_id("ns")), 5)
        workers = (Idle(), Idle())

        await asyncio.gather(
            *(reconcile(capped, worker, job.batch_id) for worker in workers for job in jobs[::-1])
        )
        for job in jobs:
            await reconcile(capped, workers[0], job.batch_id)

        assert await statuses(jobs) == ["PROCESSING"] * 2 + ["QUEUED"] * 3
        assert await reasons(jobs) == [None] * 2 + ["NAMESPACE_LIMIT"] * 3


async def test_a_turn_that_changes_between_look_and_claim_makes_no_second_room(
    stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    capped, engine = with_quotas(stores, processing_batches=1), Idle()
    first, second = await queued(capped, namespace.scope, 2)
    looked, go_on = asyncio.Event(), asyncio.Event()

    async def claim(session: Session, batch_id: str, **how: Any) -> Any:
        if batch_id == first.batch_id:
            looked.set()
            await go_on.wait()
        return await claim_batch(session, batch_id, **how)

    monkeypatch.setattr(batches, "claim_batch", claim)
    claims = [asyncio.create_task(reconcile(capped, engine, first.batch_id))]
    await looked.wait()
    await set_batch_priority(capped, namespace.scope, second.batch_id, 10)
    claims.append(asyncio.create_task(reconcile(capped, engine, second.batch_id)))
    await asyncio.sleep(0.1)  # it would be through by now
    go_on.set()
    await asyncio.gather(*claims)

    assert sorted(await statuses([first, second])) == ["PROCESSING", "QUEUED"]


async def test_those_that_wait_are_taken_in_turn_by_the_sweep_alone(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    capped = with_quotas(stores, processing_batches=1)
    jobs = await queued(capped, namespace.scope, 3)
    async with inline_engine(capped) as engine, asyncio.timeout(20):
        while set(await statuses(jobs)) != {"COMPLETED"}:
            await sweep(capped, engine)
            assert (await statuses(jobs)).count("PROCESSING") <= 1
            await asyncio.sleep(0.02)

    assert [batch_id for batch_id, _ in engine.handed] == [job.batch_id for job in jobs]


async def test_a_namespace_that_is_full_keeps_no_other_waiting(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    capped, engine = with_quotas(stores, processing_batches=1), Idle()
    await queued(capped, namespace.scope, 3)
    (other,) = await queued(capped, Scope(new_id("ns")), 1)

    await sweep(capped, engine)

    assert len(engine.handed) == 2
    assert other.batch_id in engine.handed


async def rung_for(job: Job, rings: Listener) -> None:
    async with asyncio.timeout(20):
        while job.batch_id not in await rings.wait(1):
            pass


async def test_a_batch_that_ends_or_is_paused_rings_for_the_next(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    capped, engine = with_quotas(stores, processing_batches=1), Idle()
    jobs = await queued(capped, namespace.scope, 3)
    await reconcile(capped, engine, jobs[0].batch_id)
    async with capped.bus.listen(capped.bus.work_channel) as rings:
        await cancel_batch(capped, namespace.scope, jobs[0].batch_id)
        await rung_for(jobs[1], rings)
        await reconcile(capped, engine, jobs[1].batch_id)
        await pause_batch(capped, namespace.scope, jobs[1].batch_id)
        await rung_for(jobs[2], rings)

    await reconcile(capped, engine, jobs[2].batch_id)
    assert await statuses(jobs) == ["CANCELED", "PROCESSING", "PROCESSING"]


async def test_a_batch_is_not_resumed_behind_the_back_of_one_that_takes_its_room(
    stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    capped, engine = with_quotas(stores, processing_batches=1), Idle()
    first, second = await queued(capped, namespace.scope, 2)
    await reconcile(capped, engine, first.batch_id)
    await pause_batch(capped, namespace.scope, first.batch_id)
    looked, go_on = asyncio.Event(), asyncio.Event()

    async def claim(session: Session, batch_id: str, **how: Any) -> Any:
        looked.set()
        await go_on.wait()
        return await claim_batch(session, batch_id, **how)

    monkeypatch.setattr(batches, "claim_batch", claim)
    claimed = asyncio.create_task(reconcile(capped, engine, second.batch_id))
    await looked.wait()
    resumed = asyncio.create_task(resume_batch(capped, namespace.scope, first.batch_id))
    await asyncio.wait({resumed}, timeout=0.5)  # it would be through by now
    early = resumed.done()
    go_on.set()
    await asyncio.gather(claimed, resumed)

    assert not early


async def test_a_resumed_batch_waits_until_there_is_room_again(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    capped, engine = with_quotas(stores, processing_batches=1), Idle()
    first, second = await queued(capped, namespace.scope, 2)
    await reconcile(capped, engine, first.batch_id)
    await pause_batch(capped, namespace.scope, first.batch_id)
    await let_lapse([first])
    await reconcile(capped, engine, second.batch_id)
    await resume_batch(capped, namespace.scope, first.batch_id)

    await reconcile(capped, engine, first.batch_id)
    assert (await reasons([first]))[0] == "NAMESPACE_LIMIT"
    await cancel_batch(capped, namespace.scope, second.batch_id)
    await reconcile(capped, engine, first.batch_id)

    assert engine.handed == [first.batch_id, second.batch_id, first.batch_id]


async def test_batches_whose_engine_died_do_not_wait_for_one_another(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    jobs, engine = await queued(stores, namespace.scope, 3), Idle()
    for job in jobs:
        await reconcile(stores, engine, job.batch_id)
    await let_lapse(jobs)

    await sweep(with_quotas(stores, processing_batches=2), engine)  # it was lowered meanwhile

    assert engine.handed == [job.batch_id for job in (*jobs, *jobs[:2])]


async def test_submits_at_once_keep_within_the_live_batches_and_the_last_stays_a_draft(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    capped = with_quotas(stores, live_batches=2)
    jobs = await jobs_of(capped, namespace.scope, 4)

    answers = await asyncio.gather(*(submit(capped, job) for job in jobs), return_exceptions=True)

    refused = [one for one in answers if isinstance(one, LimitExceeded)]
    assert len(refused) == 2
    assert all("at most 2" in one.message and one.hint for one in refused)
    assert sorted(await statuses(jobs)) == ["DRAFT", "DRAFT", "QUEUED", "QUEUED"]
    draft = jobs[(await statuses(jobs)).index("DRAFT")]
    live = jobs[(await statuses(jobs)).index("QUEUED")]
    assert await stored_keys(capped, draft) == set()
    assert await draft.blocks() == []
    assert (await submit(capped, live)).replayed  # it is no further one

    await cancel_batch(capped, namespace.scope, live.batch_id)
    await submit(capped, draft)
    with pytest.raises(LimitExceeded):
        await retry_batch(capped, namespace.scope, live.batch_id, RetryChoice())
    assert (await live.batch()).status == "CANCELED"
    assert {str(block.status) for block in await live.blocks()} == {"CANCELED"}


@pytest.mark.parametrize(
    ("quotas", "said"),
    [({"batch_rows": 5}, "6 rows.*at most 5"), ({"batch_bytes": 10}, "bytes; at most 10")],
)
async def test_a_batch_that_is_too_large_leaves_nothing_behind(
    stores: Stores, namespace: NamespaceOfTest, quotas: dict[str, int], said: str
) -> None:
    job = await open_job(stores, namespace.scope, objects=6)

    with pytest.raises(LimitExceeded, match=said) as refused:
        await submit_batch(with_quotas(stores, **quotas), job.scope, job.batch_id)

    assert (refused.value.path, bool(refused.value.hint)) == (("batchId",), True)
    assert ((await job.batch()).status, await job.blocks()) == ("DRAFT", [])
    assert await stored_keys(stores, job) == set()
    await submit_batch(with_quotas(stores, batch_rows=6), job.scope, job.batch_id)
