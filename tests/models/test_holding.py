"""A hold: what the claims ask for, whoever has heard of it."""

import asyncio
from datetime import timedelta

import pytest

from models.batch import Batch, Reason, advance_batch, claim_batch, read_due_batches
from models.block import (
    Block,
    claim_block,
    finish_block,
    insert_blocks,
    put_off_rows,
    release_block,
)
from models.events import Event
from models.holding import hold_batch, is_on_hold, lift_hold, put_down
from models.states import BatchStatus, BlockStatus
from models.stored import now
from models.stores import Stores
from tests.factories import make_batch, make_block, store
from tests.fixtures.stores import NamespaceOfTest

WHY = Reason(code="PAUSED", message="Paused.")
WAITS = Reason(code="WAITING_FOR_WORKER", message="Resumed.")


async def hold(stores: Stores, batch: Batch) -> Event | None:
    return await stores.database.transaction(lambda s: hold_batch(s, batch.id, WHY))


async def lift(stores: Stores, batch: Batch) -> Event | None:
    return await stores.database.transaction(lambda s: lift_hold(s, batch.id, WAITS))


async def claim(batch: Batch, *, seconds: float = 60) -> Block | None:
    return await claim_block(
        batch.id, batch.submission or "", owner="me", lease_seconds=seconds, max_attempts=3
    )


@pytest.fixture
async def batch(namespace: NamespaceOfTest) -> Batch:
    """A running batch of three blocks."""
    batch = make_batch(namespace.id, status="PROCESSING", epoch=1)
    await store(batch)
    await insert_blocks([make_block(batch, ordinal=number) for number in range(3)])
    return batch


async def test_no_block_of_a_held_batch_is_claimed_and_the_one_in_work_commits(
    stores: Stores, batch: Batch
) -> None:
    mine = await claim(batch)
    assert mine is not None

    event = await hold(stores, batch)

    assert event is not None
    assert (event.type, event.status) == ("batch.paused", "PROCESSING")
    assert await claim(batch) is None
    assert await stores.database.transaction(
        lambda session: finish_block(session, mine, BlockStatus.DONE, {})
    )
    await lift(stores, batch)
    assert await claim(batch) is not None


async def test_neither_a_failed_attempt_nor_a_lapsed_lease_ends_the_hold(
    stores: Stores, batch: Batch
) -> None:
    given_back, lapsed = await claim(batch), await claim(batch, seconds=-1)
    assert given_back is not None
    assert lapsed is not None
    await hold(stores, batch)

    assert await stores.database.transaction(
        lambda session: release_block(session, given_back, not_before=now(), error="passing")
    )
    assert await claim(batch) is None

    await lift(stores, batch)
    again = {block.id for _ in range(3) if (block := await claim(batch)) is not None}
    assert {given_back.id, lapsed.id} < again


async def test_rows_put_off_while_their_batch_is_held_are_held(
    stores: Stores, batch: Batch
) -> None:
    mine = await claim(batch)
    assert mine is not None
    await hold(stores, batch)

    async def put_off(session: object) -> None:
        held = await is_on_hold(session, batch.id)  # type: ignore[arg-type]
        await put_off_rows(session, mine, ["a"], not_before=now(), held=held)  # type: ignore[arg-type]

    await stores.database.transaction(put_off)

    assert await claim(batch) is None


async def test_eight_claims_and_a_hold_at_once_leave_nothing_to_claim(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    for _ in range(5):
        batch = make_batch(namespace.id, status="PROCESSING")
        await store(batch)
        await insert_blocks([make_block(batch, ordinal=number) for number in range(8)])

        await asyncio.gather(*(claim(batch) for _ in range(4)), hold(stores, batch))
        before = await namespace.scope.count(Block, {"batch_id": batch.id, "status": "LEASED"})

        assert [await claim(batch) for _ in range(4)] == [None] * 4
        after = await namespace.scope.count(Block, {"batch_id": batch.id, "status": "LEASED"})
        assert after == before <= 4


@pytest.mark.parametrize("status", ["QUEUED", "PROCESSING"])
async def test_a_held_batch_is_due_for_nobody_and_claimed_by_nobody(
    stores: Stores, namespace: NamespaceOfTest, status: str
) -> None:
    batch = make_batch(namespace.id, status=status, blocks_open=1)
    await store(batch)
    await hold(stores, batch)

    async def claimed() -> bool:
        found = await stores.database.transaction(
            lambda session: claim_batch(session, batch.id, lease_seconds=60)
        )
        return found is not None

    assert batch.id not in await read_due_batches(limit=1000)
    assert not await claimed()

    lifted = await lift(stores, batch)
    assert lifted is not None
    assert (lifted.type, lifted.status) == ("batch.resumed", status)
    reason = (await namespace.scope.require(Batch, batch.id)).reason
    assert (reason and reason.code) == ("WAITING_FOR_WORKER" if status == "QUEUED" else None)
    assert batch.id in await read_due_batches(limit=1000)
    assert await claimed()


@pytest.mark.parametrize("status", sorted(set(BatchStatus) - {"QUEUED", "PROCESSING"}))
async def test_only_a_live_batch_is_held(
    stores: Stores, namespace: NamespaceOfTest, status: str
) -> None:
    batch = make_batch(namespace.id, status=status)
    await store(batch)

    assert await hold(stores, batch) is None
    assert await lift(stores, batch) is None


async def test_a_second_hold_and_a_second_lift_change_nothing(stores: Stores, batch: Batch) -> None:
    assert [await hold(stores, batch) is None for _ in range(2)] == [False, True]
    assert [await lift(stores, batch) is None for _ in range(2)] == [False, True]


async def test_a_cancel_ends_a_hold(
    stores: Stores, namespace: NamespaceOfTest, batch: Batch
) -> None:
    await hold(stores, batch)

    await stores.database.transaction(
        lambda session: advance_batch(session, batch.id, BatchStatus.CANCELING)
    )

    assert (await namespace.scope.require(Batch, batch.id)).hold is None


async def test_a_batch_is_put_down_only_while_it_is_held_and_ours(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    far = now() + timedelta(days=1)
    batch = make_batch(namespace.id, status="PROCESSING", epoch=2, lease_until=far)
    await store(batch)

    assert not await put_down(batch.id, 2)
    await hold(stores, batch)
    assert not await put_down(batch.id, 1)
    assert (await namespace.scope.require(Batch, batch.id)).lease_until == far
    assert await put_down(batch.id, 2)
    await lift(stores, batch)
    assert batch.id in await read_due_batches(limit=1000)
