"""S26: a batch whose rows fail of one cause is not run to its end."""

import asyncio
from typing import Any

import pyarrow as pa
import pytest

from engine.pools import Pool, ProgressClock
from engine.spec import Extraction
from models.batch import Batch
from models.block import Block
from models.errors import ErrorCategory, ExtractorUnavailable
from models.fields import ExtractorChoice
from models.stores import Stores
from models.task import Task
from tests.factories import make_batch, make_block, make_bucket, make_collection, store
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import inline_engine, open_job, submit
from workers.batches import cancel_batch, reconcile
from workers.breaker import end_early

_FAILED_FIRST = 7  # calls


class Broken:
    """Pools whose extractor fails in each call; the later ones are held back."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()

    def pool(self, choice: ExtractorChoice) -> Pool:
        return self

    async def extract(self, rows: pa.RecordBatch, progress: ProgressClock) -> Extraction:
        self.calls += 1
        if self.calls > _FAILED_FIRST:
            await self.go.wait()
        raise ExtractorUnavailable(f"Net 'n{self.calls}' is gone.", hint="Put it back.")


async def test_s26_a_batch_whose_extractor_always_fails_ends_early_with_the_cause(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope, objects=16 * 20)
    await submit(stores, job)
    pools = Broken()

    async with inline_engine(stores, pools) as engine:
        async with asyncio.timeout(20):
            while (batch := await job.batch()).status != "FAILED":
                await reconcile(stores, engine, job.batch_id)
        pools.go.set()
        await asyncio.gather(*engine.runs)

    assert batch.error_message is not None
    assert batch.error_message.startswith("Ended early: ")
    assert "rows failed in passthrough@v1 of one cause: Net 'n" in batch.error_message
    blocks = [str(block.status) for block in await job.blocks()]
    assert set(blocks) == {"CANCELED", "FAILED"}
    assert 3 <= blocks.count("FAILED") <= _FAILED_FIRST
    assert batch.blocks_open == 0
    assert (await job.history())[-1] == "batch.failed"
    task = await Task.get(batch.task_id)
    assert task is not None
    assert (task.status, task.error_message) == ("FAILED", batch.error_message)
    assert pools.calls < 20


async def judged(stores: Stores, namespace: NamespaceOfTest, *blocks: tuple[int, int, str]) -> bool:
    """Tell whether a batch with such ended blocks (failed, succeeded, message) is ended early."""
    bucket = make_bucket(namespace.id)
    collection = make_collection(bucket)
    tiers = [{"number": 0, "collection_ids": [collection.id]}]
    counts = {
        "rows_in": 1000,
        "rows_failed": sum(failed for failed, _, _ in blocks),
        "rows_succeeded": sum(succeeded for _, succeeded, _ in blocks),
    }
    batch = make_batch(namespace.id, status="PROCESSING", counts=counts, blocks_open=1, tiers=tiers)
    ended = [
        make_block(
            batch,
            collection_id=collection.id,
            status="DONE",
            failure=_failure(failed, said),
            counts={"rows_failed": failed, "rows_succeeded": succeeded},
        )
        for failed, succeeded, said in blocks
    ]
    await store(collection, batch, *ended, make_block(batch, collection_id=collection.id))
    return await end_early(stores, batch)


def _failure(rows: int, message: str) -> dict[str, Any] | None:
    kind = ErrorCategory.RUNTIME
    return (
        {"extractor": "e@v1", "category": kind, "message": message, "rows": rows} if rows else None
    )


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([(5, 0, "no")] * 2, False),  # too early to tell
        ([(5, 0, "no")] * 3, True),
        ([(5, 0, "no"), (0, 0, ""), (0, 0, "")], False),  # emptied by a retry, or never filled
        ([(100, 0, "no")], True),
        ([(51, 49, "no")], True),
        ([(50, 50, "no")], False),  # not most of them
        ([(40, 0, "no"), (40, 0, "other"), (0, 20, "")], False),  # not one cause
        ([(40, 0, "row 'a' at 1"), (40, 0, "row 'b' at 22"), (0, 20, "")], True),
    ],
)
async def test_ends_early_only_when_most_rows_fail_of_one_cause(
    stores: Stores,
    namespace: NamespaceOfTest,
    blocks: list[tuple[int, int, str]],
    expected: bool,
) -> None:
    assert await judged(stores, namespace, *blocks) is expected


async def test_a_batch_that_was_canceled_meanwhile_stays_canceled(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    collection = make_collection(bucket)
    batch = make_batch(
        namespace.id, status="PROCESSING", counts={"rows_failed": 100}, blocks_open=1,
        tiers=[{"number": 0, "collection_ids": [collection.id]}],
    )  # fmt: skip
    failed = make_block(
        batch, collection_id=collection.id, status="FAILED", failure=_failure(100, "no")
    )
    await store(collection, batch, failed)
    await cancel_batch(stores, namespace.scope, batch.id)

    assert not await end_early(stores, batch)

    after = await namespace.scope.require(Batch, batch.id)
    assert (after.status, after.error_message) == ("CANCELED", None)


async def test_a_branch_that_works_is_not_ended_with_one_that_fails(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    failing, fine = make_collection(bucket), make_collection(bucket)
    below = make_collection([failing])
    batch = make_batch(
        namespace.id,
        status="PROCESSING",
        counts={"rows_failed": 100},
        blocks_open=2,
        tiers=[
            {"number": 0, "collection_ids": [failing.id, fine.id]},
            {"number": 1, "collection_ids": [below.id]},
        ],
    )
    broken = make_block(
        batch, collection_id=failing.id, status="FAILED", failure=_failure(100, "no")
    )
    open_below = make_block(batch, collection_id=below.id, tier=1)
    other = make_block(batch, collection_id=fine.id)
    await store(failing, fine, below, batch, broken, open_below, other)

    assert not await end_early(stores, batch)
    await Block.get_pymongo_collection().delete_one({"_id": other.id})
    assert await end_early(stores, batch)
    canceled = await Block.get(open_below.id)
    assert canceled is not None
    assert (canceled.status, canceled.epoch) == ("CANCELED", 1)
    assert canceled.error_message == "Not run: the batch was ended early."
