from itertools import product

import pytest

from models.batch import Batch, advance_batch
from models.block import (
    Block,
    cancel_blocks,
    claim_block,
    finish_block,
    release_block,
    wake_readers,
)
from models.database import Session
from models.events import read_events
from models.states import (
    BLOCK_FINAL,
    BLOCK_LIVE,
    CANCELABLE,
    DELETABLE,
    FINAL,
    LIVE,
    REOPENINGS,
    RETRYABLE,
    BatchStatus,
    BlockStatus,
)  # fmt: skip
from models.stored import now
from models.stores import Stores
from tests.factories import make_batch, make_block, store
from tests.fixtures.stores import NamespaceOfTest

# Written a second time on purpose: a change of the table must be meant.
ALLOWED = {
    ("DRAFT", "QUEUED"),
    ("QUEUED", "PROCESSING"), ("QUEUED", "FAILED"), ("QUEUED", "CANCELING"),
    ("PROCESSING", "COMPLETED"), ("PROCESSING", "COMPLETED_WITH_ERRORS"),
    ("PROCESSING", "FAILED"), ("PROCESSING", "CANCELING"),
    ("CANCELING", "CANCELED"),
}  # fmt: skip
BLOCK_STEPS = {
    "claim": ({"READY", "LEASED"}, "LEASED"),
    "release": ({"LEASED"}, "READY"),
    "done": ({"LEASED"}, "DONE"),
    "failed": ({"LEASED"}, "FAILED"),
    "wake": ({"WAITING"}, "READY"),
    "cancel": ({"WAITING", "READY", "LEASED"}, "CANCELED"),
}


@pytest.mark.parametrize(("start", "to"), [*product(BatchStatus, BatchStatus)])
async def test_a_batch_moves_as_the_table_says_and_not_otherwise(
    stores: Stores, namespace: NamespaceOfTest, start: BatchStatus, to: BatchStatus
) -> None:
    batch = make_batch(namespace.id, status=start)
    await store(batch)

    event = await stores.database.transaction(lambda s: advance_batch(s, batch.id, to))

    after = await namespace.scope.require(Batch, batch.id)
    events = await read_events(batch.id, after=0, limit=10)
    if (start, to) in ALLOWED:
        assert event is not None
        assert (after.status, after.sequence) == (to, 2)
        assert [(found.sequence, found.status) for found in events] == [(2, to)]
    else:
        assert event is None
        assert (after.status, after.sequence, events) == (start, 1, [])


@pytest.mark.parametrize(("step", "start"), [*product(BLOCK_STEPS, BlockStatus)])
async def test_a_block_moves_as_the_table_says_and_not_otherwise(
    stores: Stores, namespace: NamespaceOfTest, step: str, start: BlockStatus
) -> None:
    batch = make_batch(namespace.id, status="PROCESSING")
    upstream = make_block(batch, status="DONE")
    block = make_block(batch, status=start, waits_for=[upstream.id])
    await store(batch, upstream, block)

    await stores.database.transaction(lambda session: take_step(session, step, block, upstream))

    origins, to = BLOCK_STEPS[step]
    after = await namespace.scope.require(Block, block.id)
    assert after.status == (to if start in origins else start)


async def take_step(session: Session, step: str, block: Block, upstream: Block) -> None:
    match step:
        case "claim":
            await claim_block(
                block.batch_id, block.submission, owner="me", lease_seconds=9, max_attempts=9
            )
        case "release":
            await release_block(session, block, not_before=now(), error="again")
        case "done" | "failed":
            await finish_block(session, block, BlockStatus(step.upper()), {})
        case "wake":
            await wake_readers(session, upstream)
        case "cancel":
            await cancel_blocks(session, block.batch_id)


def test_the_sets_of_states_are_what_their_names_say() -> None:
    names = {state for pair in ALLOWED for state in pair}
    ends = {"COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "CANCELED"}

    assert names == set(BatchStatus)
    assert ends == FINAL
    assert names - ends - {"DRAFT"} == LIVE
    assert {start for start, to in ALLOWED if to == "CANCELING"} == CANCELABLE
    assert ends | {"DRAFT"} == DELETABLE
    assert ends - {"COMPLETED"} == RETRYABLE
    assert {to for following in REOPENINGS.values() for to in following} == {"QUEUED"}
    assert set(BLOCK_FINAL) == {"DONE", "FAILED", "CANCELED"}
    assert set(BLOCK_LIVE) == {"WAITING", "READY", "LEASED"}
