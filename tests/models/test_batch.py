import asyncio
from datetime import timedelta

import pytest
from pymongo.errors import DuplicateKeyError

from models.batch import (
    Batch,
    Counts,
    advance_batch,
    claim_batch,
    create_batch,
    read_due_batches,
    renew_batch,
)  # fmt: skip
from models.events import Event, EventType, read_events
from models.ids import new_id
from models.states import BatchStatus
from models.stored import now
from models.stores import Stores
from tests.factories import make_batch, store
from tests.fixtures.stores import NamespaceOfTest

Claimed = tuple[Batch, Event] | None


async def claim(stores: Stores, batch: Batch, *, seconds: float = 60) -> Claimed:
    return await stores.database.transaction(
        lambda session: claim_batch(session, batch.id, lease_seconds=seconds)
    )


async def test_a_claim_of_a_queued_batch_starts_it(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    reason = {"code": "WAITING_FOR_WORKER", "message": "", "since": now()}
    batch = make_batch(namespace.id, status="QUEUED", reason=reason)
    await store(batch)

    claimed = await claim(stores, batch)

    assert claimed is not None
    after, event = claimed
    assert (after.status, after.epoch, after.sequence) == ("PROCESSING", 1, 2)
    assert after.reason is None
    assert after.started_at is not None
    assert (event.type, event.sequence, event.data) == ("batch.processing", 2, {"epoch": 1})
    assert after.lease_until - after.started_at == timedelta(seconds=60)


async def test_eight_claims_have_one_winner(stores: Stores, namespace: NamespaceOfTest) -> None:
    for _ in range(5):
        batch = make_batch(namespace.id, status="QUEUED")
        await store(batch)

        claims = await asyncio.gather(*(claim(stores, batch) for _ in range(8)))

        assert len([one for one in claims if one is not None]) == 1
        assert (await namespace.scope.require(Batch, batch.id)).epoch == 1
        assert len(await read_events(batch.id, after=0, limit=10)) == 1


async def test_a_lapsed_claim_passes_to_the_next_epoch(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, status="QUEUED")
    await store(batch)
    first = await claim(stores, batch)
    assert first is not None
    assert await claim(stores, batch) is None  # still held
    assert await renew_batch(batch.id, 1, lease_seconds=-1)

    second = await claim(stores, batch)

    assert second is not None
    assert (second[0].epoch, second[1].type) == (2, "batch.handed_over")
    assert second[0].started_at == first[0].started_at
    assert not await renew_batch(batch.id, first[0].epoch, lease_seconds=60)
    assert await renew_batch(batch.id, second[0].epoch, lease_seconds=60)


async def test_a_renewal_holds_the_claim_by_the_server_clock(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, status="QUEUED")
    await store(batch)
    assert await claim(stores, batch, seconds=-1)

    assert await renew_batch(batch.id, 1, lease_seconds=60)

    assert await claim(stores, batch) is None


async def test_no_renewal_of_a_batch_that_is_being_canceled(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, status="QUEUED")
    await store(batch)
    assert await claim(stores, batch)
    await stores.database.transaction(
        lambda session: advance_batch(session, batch.id, BatchStatus.CANCELING)
    )

    assert not await renew_batch(batch.id, 1, lease_seconds=60)


async def test_a_draft_and_an_ended_batch_cannot_be_claimed(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    for status in set(BatchStatus) - {"QUEUED", "PROCESSING"}:
        batch = make_batch(namespace.id, status=status)
        await store(batch)

        assert await claim(stores, batch) is None
    unknown = make_batch(namespace.id)
    assert await claim(stores, unknown) is None


async def test_due_are_the_unclaimed_the_lapsed_the_finished_and_the_canceled(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    held = {"lease_until": now() + timedelta(seconds=60), "blocks_open": 1}
    due = [
        make_batch(namespace.id, status="QUEUED", blocks_open=1),
        make_batch(namespace.id, status="PROCESSING", blocks_open=1),
        make_batch(namespace.id, status="PROCESSING", **{**held, "blocks_open": 0}),
        make_batch(namespace.id, status="CANCELING", **held),
    ]
    idle = [
        make_batch(namespace.id, status="PROCESSING", **held),
        *(make_batch(namespace.id, status=s) for s in ("DRAFT", "COMPLETED", "CANCELED")),
    ]
    await store(*due, *idle)

    found = set(await read_due_batches(limit=10_000))

    assert found >= {batch.id for batch in due}
    assert not found & {batch.id for batch in idle}
    assert len(await read_due_batches(limit=2)) == 2
    await Batch.get_pymongo_collection().delete_many({"namespace_id": namespace.id})


async def test_a_move_with_a_condition_happens_only_where_it_holds(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, members_revision=3)
    await store(batch)

    async def queue(revision: int) -> Event | None:
        return await stores.database.transaction(
            lambda session: advance_batch(
                session,
                batch.id,
                BatchStatus.QUEUED,
                match={"members_revision": revision},
                values={"task_id": "tsk_1"},
            )
        )

    assert await queue(2) is None
    assert (await namespace.scope.require(Batch, batch.id)).task_id is None
    assert await queue(3) is not None
    assert (await namespace.scope.require(Batch, batch.id)).task_id == "tsk_1"


async def test_a_change_moves_the_time_of_change(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    long_ago = now() - timedelta(days=1)
    batch = make_batch(namespace.id, updated_at=long_ago, created_at=long_ago)
    await store(batch)

    await stores.database.transaction(
        lambda session: advance_batch(session, batch.id, BatchStatus.QUEUED)
    )

    after = await namespace.scope.require(Batch, batch.id)
    assert now() - after.updated_at < timedelta(seconds=10)
    assert after.created_at == long_ago


async def test_a_batch_whose_first_event_fails_is_not_there(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    twin = make_batch(namespace.id)
    taken = Event(
        id=new_id("evt"), namespace_id=namespace.id, batch_id=twin.id, sequence=1,
        type=EventType.BATCH_CREATED, status=twin.status,
    )  # fmt: skip
    await store(taken)

    with pytest.raises(DuplicateKeyError):
        await stores.database.transaction(lambda session: create_batch(session, twin))

    assert await namespace.scope.find(Batch, twin.id) is None


def test_settled_rows_are_the_sum_of_the_five_outcomes() -> None:
    counts = Counts(
        objects=1_000_000, rows_in=100_000, rows_filtered=1, rows_missing_input=10,
        rows_failed=100, rows_skipped=1_000, rows_succeeded=10_000, documents_written=7,
    )  # fmt: skip

    assert counts.rows_settled == 11_111
