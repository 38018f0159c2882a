import asyncio
from datetime import timedelta
from typing import Any

import pytest

from models.batch import Batch
from models.block import (
    Block,
    Pointer,
    cancel_blocks,
    claim_block,
    delete_blocks,
    delete_other_blocks,
    finish_block,
    insert_blocks,
    read_exhausted,
    release_block,
    renew_block,
    sum_blocks,
    wake_readers,
)  # fmt: skip
from models.ids import new_id
from models.states import BlockStatus
from models.stored import now
from models.stores import Stores
from tests.factories import make_batch, make_block, make_reader, store
from tests.fixtures.stores import NamespaceOfTest
from tests.quiet import counting

POINTER = Pointer(key="k", sha256="s", rows=1, bytes=1)


@pytest.fixture
async def batch(stores: Stores, namespace: NamespaceOfTest) -> Batch:
    """A running batch without blocks."""
    batch = make_batch(namespace.id, status="PROCESSING")
    await store(batch)
    return batch


async def claim(batch: Batch, *, seconds: float = 60, attempts: int = 3) -> Block | None:
    return await claim_block(
        batch.id, batch.submission or "", owner="me", lease_seconds=seconds, max_attempts=attempts
    )


async def must_claim(batch: Batch, **how: Any) -> Block:
    block = await claim(batch, **how)
    assert block is not None
    return block


async def finish(stores: Stores, block: Block, to: BlockStatus = BlockStatus.DONE) -> bool:
    values = {"output": POINTER.model_dump()}
    return await stores.database.transaction(
        lambda session: finish_block(session, block, to, values)
    )


async def release(stores: Stores, block: Block, *, delay: float) -> bool:
    due = now() + timedelta(seconds=delay)
    return await stores.database.transaction(
        lambda session: release_block(session, block, not_before=due, error="again")
    )


async def reread(namespace: NamespaceOfTest, block: Block) -> Block:
    return await namespace.scope.require(Block, block.id)


async def test_eight_tasks_share_blocks_without_ever_sharing_one(batch: Batch) -> None:
    await insert_blocks([make_block(batch, ordinal=number) for number in range(40)])

    async def take_all() -> list[str]:
        taken = []
        while (block := await claim(batch)) is not None:
            taken.append(block.id)
        return taken

    taken = [one for part in await asyncio.gather(*(take_all() for _ in range(8))) for one in part]

    assert len(taken) == len(set(taken)) == 40


async def test_eight_claims_of_one_block_have_one_winner(batch: Batch) -> None:
    for number in range(5):
        await insert_blocks([make_block(batch, ordinal=number)])

        claims = await asyncio.gather(*(claim(batch) for _ in range(8)))

        [winner] = [one for one in claims if one is not None]
        assert (winner.epoch, winner.attempts, winner.owner) == (1, 1, "me")


async def test_the_attempt_is_counted_before_the_work_begins(
    batch: Batch, namespace: NamespaceOfTest
) -> None:
    await insert_blocks([make_block(batch)])

    block = await must_claim(batch)

    # Whoever dies from here on has used up this attempt.
    stored = await reread(namespace, block)
    assert (stored.attempts, stored.epoch, stored.status) == (1, 1, "LEASED")
    assert stored.lease_until - (stored.started_at or now()) == timedelta(seconds=60)


async def test_a_worker_that_always_dies_never_gets_more_than_the_attempts(batch: Batch) -> None:
    await insert_blocks([make_block(batch)])
    claimed = [await claim(batch, seconds=-1) for _ in range(6)]

    assert [one.attempts for one in claimed if one is not None] == [1, 2, 3]
    assert [one is None for one in claimed] == [False] * 3 + [True] * 3
    exhausted = read_exhausted(batch.id, batch.submission or "", max_attempts=3)
    assert [one.id async for one in exhausted] == [claimed[0].id if claimed[0] else ""]


async def test_a_last_attempt_under_way_is_not_exhausted(batch: Batch) -> None:
    await insert_blocks([make_block(batch, attempts=2)])
    await must_claim(batch)

    exhausted = read_exhausted(batch.id, batch.submission or "", max_attempts=3)

    assert [one.id async for one in exhausted] == []


async def test_a_lease_that_ran_out_passes_on_under_the_next_epoch(
    stores: Stores, batch: Batch, namespace: NamespaceOfTest
) -> None:
    await insert_blocks([make_block(batch)])
    stale = await must_claim(batch, seconds=-1)
    fresh = await must_claim(batch)
    assert (fresh.id, fresh.epoch) == (stale.id, stale.epoch + 1)

    # Whatever the first owner still tries is refused, and changes nothing.
    before = await reread(namespace, fresh)
    assert not await renew_block(stale, lease_seconds=60)
    assert not await finish(stores, stale)
    assert not await finish(stores, stale, BlockStatus.FAILED)
    assert not await release(stores, stale, delay=0)
    assert await reread(namespace, fresh) == before

    assert await renew_block(fresh, lease_seconds=60)
    assert await finish(stores, fresh)
    assert (await reread(namespace, fresh)).output == POINTER
    assert not await finish(stores, fresh)


async def test_a_late_owner_may_finish_while_nobody_else_claimed(
    stores: Stores, batch: Batch
) -> None:
    await insert_blocks([make_block(batch)])
    block = await must_claim(batch, seconds=-1)

    assert await finish(stores, block)
    assert await claim(batch) is None


async def test_a_claim_and_a_commit_of_a_lapsed_block_have_one_winner(
    stores: Stores, batch: Batch, namespace: NamespaceOfTest
) -> None:
    for number in range(10):
        await insert_blocks([make_block(batch, ordinal=number)])
        block = await must_claim(batch, seconds=-1)

        committed, claimed = await asyncio.gather(finish(stores, block), claim(batch))

        assert committed is (claimed is None)
        after = await reread(namespace, block)
        assert (after.status, after.epoch) == (("DONE", 1) if committed else ("LEASED", 2))
        if claimed is not None:
            assert await finish(stores, claimed)


async def test_a_released_block_waits_until_it_is_due(
    stores: Stores, batch: Batch, namespace: NamespaceOfTest
) -> None:
    await insert_blocks([make_block(batch)])
    block = await must_claim(batch)

    assert await release(stores, block, delay=60)

    stored = await reread(namespace, block)
    assert (stored.status, stored.owner, stored.error_message) == ("READY", None, "again")
    assert await claim(batch) is None
    due = {"$set": {"not_before": now() - timedelta(seconds=1)}}
    await Block.get_pymongo_collection().update_one({"_id": block.id}, due)
    assert (await must_claim(batch)).attempts == 2


async def test_lower_tiers_and_earlier_blocks_go_first(batch: Batch) -> None:
    places = [(1, 0), (0, 2), (0, 1), (1, 1), (0, 0)]
    await insert_blocks([make_block(batch, tier=tier, ordinal=n) for tier, n in places])

    taken = [await must_claim(batch) for _ in places]

    assert [(block.tier, block.ordinal) for block in taken] == sorted(places)


async def test_a_waiting_block_of_an_other_submission_or_batch_is_not_taken(
    batch: Batch, namespace: NamespaceOfTest
) -> None:
    other = make_batch(namespace.id, status="PROCESSING")
    first = make_block(batch, submission=new_id("sub"))
    await insert_blocks([first, make_block(other), make_reader(batch, first)])

    assert await claim(batch) is None


async def test_a_cancel_ends_every_live_block_and_fences_those_at_work(
    stores: Stores, batch: Batch, namespace: NamespaceOfTest
) -> None:
    leased = make_block(batch)
    await insert_blocks([leased])
    held = await must_claim(batch)
    ended = [make_block(batch, status=status) for status in ("DONE", "FAILED")]
    waiting = make_reader(batch, leased)
    other = make_block(make_batch(namespace.id))
    await insert_blocks([*ended, waiting, make_block(batch), other])

    canceled = await stores.database.transaction(lambda session: cancel_blocks(session, batch.id))

    assert canceled == 3
    assert not await finish(stores, held)
    assert not await release(stores, held, delay=0)
    assert (await reread(namespace, held)).epoch == held.epoch + 1
    assert (await reread(namespace, other)).status == "READY"
    for block in ended:
        assert await reread(namespace, block) == block
    assert await claim(batch) is None


async def test_sums_are_by_collection_and_status_of_one_submission(batch: Batch) -> None:
    counts = {"rows_in": 3, "rows_succeeded": 2, "rows_failed": 1, "documents_written": 5}
    done = {"status": "DONE", "counts": counts}
    await insert_blocks(
        [
            make_block(batch, collection_id="a", **done),
            make_block(batch, collection_id="a", **done),
            make_block(batch, collection_id="a", status="FAILED"),
            make_block(batch, collection_id="b", **done),
            make_block(batch, collection_id="a", submission=new_id("sub"), **done),
        ]
    )

    sums = await sum_blocks(batch.id, batch.submission or "")

    found = {
        (row["_id"]["collection_id"], row["_id"]["status"]): (
            row["blocks"],
            row["rows_in"],
            row["documents_written"],
        )
        for row in sums
    }
    assert found == {
        ("a", "DONE"): (2, 6, 10),
        ("a", "FAILED"): (1, 0, 0),
        ("b", "DONE"): (1, 3, 5),
    }


async def test_no_blocks_are_no_failure(batch: Batch) -> None:
    await insert_blocks([])

    assert await sum_blocks(batch.id, "") == []


async def test_an_attempt_removes_its_own_blocks_or_those_of_all_others(
    batch: Batch, namespace: NamespaceOfTest
) -> None:
    made = {name: make_block(batch, submission=name) for name in ("one", "two", "three")}
    stranger = make_block(make_batch(namespace.id), submission="one")
    await insert_blocks([*made.values(), stranger])

    await delete_blocks(batch.id, "one")
    assert {block.submission for block in await namespace.scope.all(Block)} == {
        "one",
        "two",
        "three",
    }
    assert await namespace.scope.find(Block, made["one"].id) is None
    await delete_other_blocks(batch.id, "two")

    left = {block.id for block in await namespace.scope.all(Block)}
    assert left == {made["two"].id, stranger.id}


async def test_a_claim_looks_at_no_block_that_is_done(stores: Stores, batch: Batch) -> None:
    done = [make_block(batch, ordinal=n, status="DONE") for n in range(500)]
    ready = [make_block(batch, ordinal=500 + n) for n in range(500)]
    await insert_blocks(done + ready)

    async with counting(stores) as looked_at:
        block = await must_claim(batch)
        assert block.ordinal == 500
        assert 1 <= await looked_at() < 10


async def test_waking_looks_at_the_readers_of_a_block_alone(stores: Stores, batch: Batch) -> None:
    upstream = make_block(batch)
    others = [make_block(batch, ordinal=n) for n in range(500)]
    await insert_blocks([upstream, make_reader(batch, upstream), *others])
    await insert_blocks([make_reader(batch, other) for other in others])

    async with counting(stores) as looked_at:
        await stores.database.transaction(lambda session: wake_readers(session, upstream))
        assert 1 <= await looked_at() < 10
