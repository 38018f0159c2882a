import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine import runner
from engine.inline_pool import InlinePools
from engine.pools import Pools
from models.batch import Batch
from models.block import Block
from models.ending import end_tasks
from models.errors import ErrorCategory, StoreUnavailable
from models.events import EventType, read_events
from models.states import BatchStatus, BlockStatus
from models.stores import Stores
from models.vectors import VectorStore
from tests.engine.batches import (
    appeared,
    blocks_of,
    claim,
    documents_of,
    errors_of,
    lapse,
    make_run,
    reread,
    run,
    said,
    submitted,
    texts_in,
    with_engine,
    words_of,
)
from tests.extractors import choice
from tests.factories import make_bucket
from tests.fixtures.stores import NamespaceOfTest
from workers.batches import cancel_batch

LEASE = 1.5  # seconds; a block that does not move is given up after three quarters of it


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another at once."""
    monkeypatch.setattr(runner, "_BACKOFF_CAP", 0.1)
    monkeypatch.setattr(runner, "_IDLE_SECONDS", 0.05)


async def test_two_tiers_become_documents(
    stores: Stores, namespace: NamespaceOfTest, pools: Pools
) -> None:
    bucket = make_bucket(namespace.id)
    first = words_of(bucket)
    second = words_of([first])
    texts = [f"alpha-{number} beta-{number}" for number in range(40)]
    batch = await submitted(stores, bucket, texts_in(bucket, texts), first, second)

    ended = await run(stores, batch, pools)

    expected = sorted(word for text in texts for word in text.split())
    assert await said(first) == await said(second) == expected
    assert {block.status for block in await blocks_of(batch)} == {BlockStatus.DONE}
    assert ended.blocks_open == 0
    assert ended.counts.rows_in == ended.counts.rows_succeeded == 40 + 80
    assert ended.counts.documents_written == 160


async def test_a_tier_that_is_needed_whole_is_one_block(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    first = words_of(bucket)
    whole = words_of([first], choice("whole@v1"))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"] * 40), first, whole)

    await run(stores, batch, inline)

    *_, upper = await blocks_of(batch)
    assert (upper.collection_id, upper.counts.rows_in) == (whole.id, 40)
    assert len(await documents_of(whole)) == 40


async def test_an_error_is_retried_and_the_batch_goes_on(
    stores: Stores, namespace: NamespaceOfTest, pools: Pools, tmp_path: Path, hasty: None
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("failing@v1", calls=str(tmp_path / "calls")))
    batch = await submitted(stores, bucket, texts_in(bucket, ["once a"]), collection)

    await run(stores, batch, pools)

    (block,) = await blocks_of(batch)
    assert (block.status, block.attempts) == (BlockStatus.DONE, 2)
    assert await said(collection) == ["a", "once"]
    retried = [
        event.data
        for event in await read_events(batch.id, after=0, limit=100)
        if event.type == EventType.BLOCK_RETRIED
    ]
    assert [(data["category"], data["message"]) for data in retried] == [
        ("RUNTIME", "ValueError: a word that raises")
    ]


async def test_an_error_that_stays_fails_the_block_with_its_message(
    stores: Stores, namespace: NamespaceOfTest, pools: Pools, hasty: None
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("failing@v1"))
    batch = await submitted(stores, bucket, texts_in(bucket, ["raise"] * 9), collection)

    ended = await run(stores, batch, pools)

    (block,) = await blocks_of(batch)
    assert (block.status, block.attempts) == (BlockStatus.FAILED, 2)
    (error,) = await errors_of(batch)
    assert error.message == block.error_message == "ValueError: a word that raises"
    assert (error.rows, error.attempts, error.category) == (9, 2, ErrorCategory.RUNTIME)
    assert error.hint
    assert (ended.counts.rows_failed, ended.counts.rows_settled, ended.blocks_open) == (9, 9, 0)


async def test_a_permanent_error_fails_at_once(
    stores: Stores, namespace: NamespaceOfTest, pools: Pools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("failing@v1"))
    batch = await submitted(stores, bucket, texts_in(bucket, ["permanent"]), collection)

    await run(stores, batch, pools)

    (block,) = await blocks_of(batch)
    assert (block.status, block.attempts) == (BlockStatus.FAILED, 1)
    (error,) = await errors_of(batch)
    assert (error.message, error.hint) == ("The net is gone.", "Put it back.")


async def test_an_extractor_that_cannot_be_set_up_fails_its_blocks_readably(
    stores: Stores, namespace: NamespaceOfTest, pools: Pools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("unready@v1"))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"] * 100), collection)

    ended = await run(stores, batch, pools)

    assert {block.status for block in await blocks_of(batch)} == {BlockStatus.FAILED}
    errors = await errors_of(batch)
    assert {(error.message, error.hint) for error in errors} == {
        ("Net 'nowhere' is not installed.", "pip install nowhere")
    }
    assert ended.counts.rows_failed == 100


class FlakyVectors(VectorStore):
    """The real store, which is away for the first writes."""

    def __init__(self, real: VectorStore, failures: int) -> None:
        self.__dict__ = dict(real.__dict__)
        self.failures = failures

    async def upsert(self, *arguments: Any, **values: Any) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("Qdrant failed: ConnectError.")
        await super().upsert(*arguments, **values)


async def test_s20_a_store_that_was_away_is_tried_again(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, hasty: None
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)

    await run(replace(stores, vectors=FlakyVectors(stores.vectors, failures=2)), batch, inline)

    (block,) = await blocks_of(batch)
    assert (block.status, block.attempts) == (BlockStatus.DONE, 3)
    assert await errors_of(batch) == []


async def test_a_store_that_stays_away_fails_the_block(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, hasty: None
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)

    await run(replace(stores, vectors=FlakyVectors(stores.vectors, failures=99)), batch, inline)

    (error,) = await errors_of(batch)
    assert (error.message, error.category) == (
        "Qdrant failed: ConnectError.",
        ErrorCategory.DEPENDENCY,
    )


async def test_s22_an_artifact_that_is_gone_fails_its_block_by_name(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), words_of(bucket))
    (artifact,) = batch.artifacts
    await stores.artifacts.delete_keys([artifact.key])

    await run(stores, batch, inline)

    (block,) = await blocks_of(batch)
    assert (block.status, block.attempts) == (BlockStatus.FAILED, 1)
    assert block.error_message == f"Artifact {artifact.key} is gone from S3."


async def test_what_reads_a_failed_block_is_canceled_with_a_reason(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    broken, fine = words_of(bucket, choice("failing@v1")), words_of(bucket)
    above = words_of([broken])
    top, other = words_of([above]), words_of([fine])
    texts = texts_in(bucket, ["permanent", "a"])
    batch = await submitted(stores, bucket, texts, broken, fine, above, top, other)

    ended = await run(stores, batch, inline)

    blocks = {block.collection_id: block for block in await blocks_of(batch)}
    assert blocks[broken.id].status == BlockStatus.FAILED
    assert blocks[above.id].status == blocks[top.id].status == BlockStatus.CANCELED
    assert broken.id not in {above.id, top.id}
    assert blocks[above.id].error_message == (
        f"Block {blocks[broken.id].id}, which this one reads, failed."
    )
    assert blocks[other.id].status == blocks[fine.id].status == BlockStatus.DONE
    assert ended.blocks_open == 0
    assert ended.counts.rows_settled == ended.counts.rows_in


async def test_a_failed_block_of_a_later_tier_counts_the_rows_it_would_have_read(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    first = words_of(bucket)
    second = words_of([first], choice("unready@v1"))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a b c"]), first, second)

    ended = await run(stores, batch, inline)

    counts = ended.counts
    assert (counts.rows_in, counts.rows_succeeded, counts.rows_failed) == (1 + 3, 1, 3)
    (error,) = await errors_of(batch)
    assert error.rows == 3


def slow(seconds: float, *, silent: bool = False, **values: Any) -> Any:
    return choice("slow@v1", seconds=seconds, silent=silent, **values)


async def test_a_slow_extractor_keeps_its_lease_by_progress(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, slow(1.2 * LEASE))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)

    await run(with_engine(stores, lease_seconds=LEASE), batch, inline)

    (block,) = await blocks_of(batch)
    assert (block.status, block.attempts, block.epoch) == (BlockStatus.DONE, 1, 1)


async def test_s5_a_silent_extractor_loses_its_lease(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, slow(2.5 * LEASE, silent=True))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)

    await run(with_engine(stores, lease_seconds=LEASE, max_attempts=1), batch, inline)

    (block,) = await blocks_of(batch)
    assert (block.status, block.attempts) == (BlockStatus.FAILED, 1)
    (error,) = await errors_of(batch)
    assert error.message == "No progress for 1 s in slow@v1; the attempt was ended."
    assert error.category == ErrorCategory.TIMEOUT
    assert await documents_of(collection) == []


async def test_blocks_that_wait_for_a_process_keep_their_leases(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, slow(0.5 * LEASE))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"] * 48), collection)

    await run(with_engine(stores, lease_seconds=LEASE), batch, inline)

    blocks = await blocks_of(batch)
    assert [block.attempts for block in blocks] == [1, 1, 1]  # one at a time, three claimed


async def test_a_lease_lost_halfway_commits_nothing(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, tmp_path: Path
) -> None:
    bucket = make_bucket(namespace.id)
    started = tmp_path / "started"
    collection = words_of(bucket, slow(0.8, started=str(started)))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)
    under_way = await make_run(with_engine(stores, lease_seconds=60), batch, inline)
    running = asyncio.create_task(under_way.run())
    await appeared(started)

    await Block.get_pymongo_collection().update_one(
        {"batch_id": batch.id}, {"$inc": {"epoch": 1}, "$set": {"owner": "thief"}}
    )
    await asyncio.sleep(1.2)

    await end_tasks(running)
    (block,) = await blocks_of(batch)
    assert (block.status, block.owner, block.epoch) == (BlockStatus.LEASED, "thief", 2)
    assert await documents_of(collection) == []
    assert (await reread(batch)).counts.documents_written == 0


async def test_a_stolen_block_is_dropped_before_it_is_done(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, tmp_path: Path
) -> None:
    bucket = make_bucket(namespace.id)
    started, gate = tmp_path / "started", tmp_path / "gate"
    collection = words_of(bucket, choice("holding@v1", gate=str(gate), started=str(started)))
    batch = await submitted(stores, bucket, texts_in(bucket, ["hold"]), collection)
    under_way = await make_run(with_engine(stores, lease_seconds=LEASE), batch, inline)
    running = asyncio.create_task(under_way.run())
    await appeared(started)

    await Block.get_pymongo_collection().update_one(
        {"batch_id": batch.id}, {"$inc": {"epoch": 1}, "$set": {"status": "DONE"}}
    )
    await Batch.get_pymongo_collection().update_one({"_id": batch.id}, {"$set": {"blocks_open": 0}})

    await asyncio.wait_for(running, 20)  # the extractor still holds its block
    gate.touch()


async def test_a_run_ends_when_another_epoch_has_the_batch(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, tmp_path: Path
) -> None:
    bucket = make_bucket(namespace.id)
    started, gate = tmp_path / "started", tmp_path / "gate"
    collection = words_of(bucket, choice("holding@v1", gate=str(gate), started=str(started)))
    batch = await submitted(stores, bucket, texts_in(bucket, ["hold"]), collection)
    under_way = await make_run(with_engine(stores, lease_seconds=LEASE), batch, inline)
    running = asyncio.create_task(under_way.run())
    await appeared(started)

    await Batch.get_pymongo_collection().update_one({"_id": batch.id}, {"$inc": {"epoch": 1}})

    await asyncio.wait_for(running, 20)  # the extractor still holds its block
    gate.touch()
    (block,) = await blocks_of(batch)
    assert block.status == BlockStatus.LEASED


async def test_a_run_keeps_the_batch_while_it_works(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, tmp_path: Path
) -> None:
    lease = timedelta(seconds=3 * LEASE)
    bucket, gate = make_bucket(namespace.id), tmp_path / "gate"
    collection = words_of(bucket, choice("holding@v1", gate=str(gate)))
    batch = await submitted(stores, bucket, texts_in(bucket, ["hold"]), collection)
    running = asyncio.create_task(
        run(with_engine(stores, lease_seconds=lease.total_seconds()), batch, inline)
    )

    ends = [batch.lease_until]  # the claim's, the run's first, and one that it renewed
    async with asyncio.timeout(20):
        while len(ends) < 3:
            await asyncio.sleep(0.02)
            if (end := (await reread(batch)).lease_until) != ends[-1]:
                ends.append(end)
    gate.touch()
    await running

    _, first, renewed = ends
    assert first < renewed < first + lease  # before the first had run out


async def test_a_block_whose_process_is_gone_is_taken_up_again(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, tmp_path: Path
) -> None:
    bucket = make_bucket(namespace.id)
    started = tmp_path / "started"
    collection = words_of(bucket, slow(0.5, started=str(started)))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)
    hurried = with_engine(stores, lease_seconds=LEASE)
    dead = asyncio.create_task((await make_run(hurried, batch, inline)).run())
    await appeared(started)
    await end_tasks(dead)

    await lapse(batch)
    successor = await claim(stores, batch.id, lease_seconds=LEASE)
    await run(hurried, successor, inline)

    (block,) = await blocks_of(batch)
    assert (block.status, block.attempts, block.epoch) == (BlockStatus.DONE, 2, 2)
    assert await said(collection) == ["a"]


async def test_a_block_that_ended_every_process_fails(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)
    long_ago = Block.model_fields["lease_until"].default
    values = {"status": "LEASED", "attempts": 3, "epoch": 3, "lease_until": long_ago}
    await Block.get_pymongo_collection().update_one({"batch_id": batch.id}, {"$set": values})

    ended = await run(stores, batch, inline)

    (error,) = await errors_of(batch)
    assert error.message == "The process that ran the block ended 3 times."
    assert (ended.blocks_open, ended.counts.rows_failed) == (0, 1)


async def test_two_batches_run_side_by_side(
    stores: Stores, namespace: NamespaceOfTest, pools: Pools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, slow(0.05))
    other = make_bucket(namespace.id)
    theirs = words_of(other, choice("failing@v1"))

    async def batch_of(source: Any, to: Any, texts: Sequence[str]) -> Batch:
        return await submitted(stores, source, texts_in(source, texts), to)

    mine = await batch_of(bucket, collection, ["a"] * 50)
    yours = await batch_of(other, theirs, ["b"] * 50)
    await asyncio.gather(run(stores, mine, pools), run(stores, yours, pools))

    assert await said(collection) == ["a"] * 50
    assert await said(theirs) == ["b"] * 50


async def test_two_runs_of_one_batch_do_each_block_once(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"] * 100), collection)

    await asyncio.gather(run(stores, batch, inline), run(stores, batch, inline))

    assert {block.attempts for block in await blocks_of(batch)} == {1}
    assert (await reread(batch)).counts.documents_written == 100


async def test_a_canceled_batch_ends_its_run(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, tmp_path: Path
) -> None:
    bucket = make_bucket(namespace.id)
    started, gate = tmp_path / "started", tmp_path / "gate"
    collection = words_of(bucket, choice("holding@v1", gate=str(gate), started=str(started)))
    batch = await submitted(stores, bucket, texts_in(bucket, ["hold"]), collection)
    under_way = await make_run(with_engine(stores, lease_seconds=LEASE), batch, inline)
    running = asyncio.create_task(under_way.run())
    await appeared(started)

    await cancel_batch(stores, namespace.scope, batch.id)

    await asyncio.wait_for(running, 20)  # the extractor still holds its block
    gate.touch()
    assert (await reread(batch)).status == BatchStatus.CANCELED
    assert await documents_of(collection) == []
