import asyncio

import pytest

from models.batch import Batch
from models.block import (
    Block,
    cancel_readers,
    claim_block,
    finish_block,
    insert_blocks,
    wake_readers,
)  # fmt: skip
from models.database import Session
from models.states import BlockStatus
from models.stores import Stores
from tests.factories import make_batch, make_block, make_reader, store
from tests.fixtures.stores import NamespaceOfTest


@pytest.fixture
async def batch(stores: Stores, namespace: NamespaceOfTest) -> Batch:
    """A running batch without blocks."""
    batch = make_batch(namespace.id, status="PROCESSING")
    await store(batch)
    return batch


def leased(batch: Batch, ordinal: int = 0) -> Block:
    return make_block(batch, status="LEASED", epoch=1, attempts=1, ordinal=ordinal)


async def done(stores: Stores, block: Block) -> None:
    """Finish a block and tell its readers, as a commit does."""

    async def work(session: Session) -> None:
        assert await finish_block(session, block, BlockStatus.DONE, {})
        await wake_readers(session, block)

    await stores.database.transaction(work)


async def fail(stores: Stores, block: Block) -> int:
    """Fail a block and cancel its readers, as the writer does."""

    async def work(session: Session) -> int:
        assert await finish_block(session, block, BlockStatus.FAILED, {})
        return await cancel_readers(session, block, "It failed.")

    return await stores.database.transaction(work)


async def states(namespace: NamespaceOfTest, *blocks: Block) -> list[str]:
    return [(await namespace.scope.require(Block, block.id)).status for block in blocks]


async def test_a_reader_is_ready_when_its_last_upstream_is_done(
    stores: Stores, batch: Batch, namespace: NamespaceOfTest
) -> None:
    one, two = leased(batch), leased(batch, 1)
    both, first = make_reader(batch, one, two), make_reader(batch, one)
    await insert_blocks([one, two, both, first])

    await done(stores, one)
    assert await states(namespace, both, first) == ["WAITING", "READY"]
    await done(stores, two)

    assert await states(namespace, both, first) == ["READY", "READY"]
    after = await namespace.scope.require(Block, both.id)
    assert (after.waits_for, after.reads) == ([], both.reads)


async def test_upstreams_that_finish_at_once_wake_their_reader_once(
    stores: Stores, batch: Batch, namespace: NamespaceOfTest
) -> None:
    for _ in range(10):
        upstream = [leased(batch, number) for number in range(4)]
        reader = make_reader(batch, *upstream)
        await insert_blocks([*upstream, reader])

        await asyncio.gather(*(done(stores, block) for block in upstream))

        assert await states(namespace, reader) == ["READY"]
        assert (await namespace.scope.require(Block, reader.id)).waits_for == []


async def test_a_reader_that_is_at_work_or_ended_is_left_alone(
    stores: Stores, batch: Batch, namespace: NamespaceOfTest
) -> None:
    upstream = leased(batch)
    readers = [
        make_block(batch, tier=1, status=status, waits_for=[upstream.id])
        for status in ("READY", "LEASED", "DONE", "FAILED", "CANCELED")
    ]
    await insert_blocks([upstream, *readers])

    await done(stores, upstream)

    assert await states(namespace, *readers) == [reader.status for reader in readers]


async def test_readers_of_another_submission_stay_asleep(
    stores: Stores, batch: Batch, namespace: NamespaceOfTest
) -> None:
    upstream = leased(batch)
    other = make_reader(batch, upstream, submission="sub_other")
    await insert_blocks([upstream, other])

    await done(stores, upstream)

    assert await states(namespace, other) == ["WAITING"]


async def test_a_failure_cancels_its_descendants_and_no_others(
    stores: Stores, batch: Batch, namespace: NamespaceOfTest
) -> None:
    failing, sound = leased(batch), leased(batch, 1)
    child, neighbour = make_reader(batch, failing), make_reader(batch, sound)
    both = make_reader(batch, failing, sound)
    grandchild = make_reader(batch, child, tier=2)
    diamond = make_reader(batch, child, both, neighbour, tier=2)
    last = make_reader(batch, diamond, grandchild, tier=3)
    family = [child, both, grandchild, diamond, last]
    await insert_blocks([failing, sound, neighbour, *family])

    canceled = await fail(stores, failing)

    assert canceled == 5
    assert await states(namespace, *family) == ["CANCELED"] * 5
    assert await states(namespace, sound, neighbour) == ["LEASED", "WAITING"]
    after = await namespace.scope.require(Block, last.id)
    assert after.error_message == "It failed."
    assert after.finished_at is not None


async def test_a_canceled_reader_is_not_woken_by_what_succeeds_later(
    stores: Stores, batch: Batch, namespace: NamespaceOfTest
) -> None:
    failing, sound = leased(batch), leased(batch, 1)
    both = make_reader(batch, failing, sound)
    await insert_blocks([failing, sound, both])
    await fail(stores, failing)

    await done(stores, sound)

    assert await states(namespace, both) == ["CANCELED"]


async def test_a_failure_and_a_success_at_once_cancel_the_reader_of_both(
    stores: Stores, batch: Batch, namespace: NamespaceOfTest
) -> None:
    for _ in range(10):
        failing, sound = leased(batch), leased(batch, 1)
        both = make_reader(batch, failing, sound)
        await insert_blocks([failing, sound, both])

        canceled, _ = await asyncio.gather(fail(stores, failing), done(stores, sound))

        assert canceled == 1
        assert await states(namespace, both) == ["CANCELED"]


async def test_two_failures_at_once_count_a_common_reader_once(
    stores: Stores, batch: Batch, namespace: NamespaceOfTest
) -> None:
    for _ in range(10):
        upstream = [leased(batch), leased(batch, 1)]
        both = make_reader(batch, *upstream)
        last = make_reader(batch, both, tier=2)
        await insert_blocks([*upstream, both, last])

        canceled = await asyncio.gather(*(fail(stores, block) for block in upstream))

        assert sorted(canceled) == [0, 2]


async def test_a_canceled_reader_is_never_claimed(stores: Stores, batch: Batch) -> None:
    failing = leased(batch)
    await insert_blocks([failing, make_reader(batch, failing)])
    await fail(stores, failing)

    claimed = await claim_block(
        batch.id, batch.submission or "", owner="me", lease_seconds=1, max_attempts=3
    )

    assert claimed is None
