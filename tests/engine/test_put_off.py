"""Rows whose failure passes are tried again later, alone, a bounded number of times."""

from pathlib import Path

import pytest

from engine import runner
from engine.inline_pool import InlinePools
from models.batch import Batch
from models.errors import ErrorCategory
from models.states import BlockStatus
from models.stores import Stores
from tests.engine.batches import (
    blocks_of,
    claim,
    errors_of,
    make_run,
    reread,
    run,
    said,
    submitted,
    texts_in,
    words_of,
)
from tests.extractors import choice
from tests.factories import make_bucket
from tests.fixtures.stores import NamespaceOfTest
from workers.steering import pause_batch, resume_batch

TEXTS = ["a", "busy", "b", "c busy", "d"]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another at once."""
    monkeypatch.setattr(runner, "_BACKOFF_CAP", 0.1)
    monkeypatch.setattr(runner, "_IDLE_SECONDS", 0.05)


async def test_busy_rows_are_tried_again_without_their_neighbours(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, tmp_path: Path, hasty: None
) -> None:
    bucket = make_bucket(namespace.id)
    met = tmp_path / "met"
    collection = words_of(bucket, choice("busy@v1", met=str(met)))
    batch = await submitted(stores, bucket, texts_in(bucket, TEXTS), collection)

    ended = await run(stores, batch, inline)

    assert await said(collection) == ["a", "b", "busy", "busy", "c", "d"]
    assert met.read_text().splitlines() == [*TEXTS, "busy", "c busy"]
    assert await errors_of(batch) == []
    blocks = await blocks_of(batch)
    assert [block.counts.rows_in for block in blocks] == [3, 2]
    assert {block.status for block in blocks} == {BlockStatus.DONE}
    counts = ended.counts
    assert (counts.rows_in, counts.rows_succeeded, counts.documents_written) == (5, 5, 6)
    assert (ended.blocks_open, ended.blocks_total) == (0, 2)


async def test_readers_wait_for_rows_that_were_put_off(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, tmp_path: Path, hasty: None
) -> None:
    bucket = make_bucket(namespace.id)
    first = words_of(bucket, choice("busy@v1", met=str(tmp_path / "met")))
    second = words_of([first])
    whole = words_of([second], choice("whole@v1"))
    batch = await submitted(stores, bucket, texts_in(bucket, TEXTS), first, second, whole)

    ended = await run(stores, batch, inline)

    assert await said(first) == await said(second) == await said(whole)
    assert ended.counts.rows_in == ended.counts.rows_succeeded == 5 + 6 + 6
    assert ended.counts.rows_settled == ended.counts.rows_in


async def test_rows_that_stay_busy_fail_after_three_tries(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, tmp_path: Path, hasty: None
) -> None:
    bucket = make_bucket(namespace.id)
    met = tmp_path / "met"
    collection = words_of(bucket, choice("busy@v1", met=str(met), times=99))
    objects = texts_in(bucket, TEXTS)
    batch = await submitted(stores, bucket, objects, collection)

    ended = await run(stores, batch, inline)

    errors = await errors_of(batch)
    assert {error.object_id for error in errors} == {objects[1].id, objects[3].id}
    assert {(error.category, error.attempts, error.transient) for error in errors} == {
        (ErrorCategory.RATE_LIMIT, 3, True)
    }
    assert met.read_text().splitlines().count("busy") == 3
    assert met.read_text().splitlines().count("a") == 1
    assert (ended.counts.rows_failed, ended.counts.rows_succeeded, ended.blocks_open) == (2, 3, 0)


async def test_a_wait_is_kept_in_the_database(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, tmp_path: Path
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("busy@v1", met=str(tmp_path / "met")))
    objects = texts_in(bucket, ["a", "busy"])
    batch = await submitted(stores, bucket, objects, collection)
    under_way = await make_run(stores, batch, inline)

    while not (waiting := [block for block in await blocks_of(batch) if block.only]):
        await under_way._turn()
        await under_way._wait()

    (rest,) = waiting
    first = (await blocks_of(batch))[0]
    assert (rest.status, rest.tries, rest.only) == (BlockStatus.READY, 1, [objects[1].id])
    assert first.finished_at is not None
    assert rest.not_before > first.finished_at


async def test_a_block_whose_rows_are_all_busy_waits_as_it_is(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, tmp_path: Path, hasty: None
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("busy@v1", met=str(tmp_path / "met")))
    batch: Batch = await submitted(stores, bucket, texts_in(bucket, ["busy"] * 3), collection)

    await run(stores, batch, inline)

    (block,) = await blocks_of(batch)
    assert (block.status, block.attempts, block.error_message) == (BlockStatus.DONE, 2, "Too busy.")
    assert await said(collection) == ["busy"] * 3


async def test_rows_put_off_by_a_block_of_a_paused_batch_wait_for_the_resume(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, tmp_path: Path, hasty: None
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("busy@v1", met=str(tmp_path / "met")))
    batch = await submitted(stores, bucket, texts_in(bucket, TEXTS), collection)
    under_way = await make_run(stores, batch, inline)
    await under_way._turn()
    await pause_batch(stores, namespace.scope, batch.id)

    await under_way.run()

    (rest,) = [block for block in await blocks_of(batch) if block.only]
    assert (rest.status, rest.held, rest.attempts) == (BlockStatus.READY, True, 0)
    await resume_batch(stores, namespace.scope, batch.id)
    await run(stores, await claim(stores, batch.id), inline)
    assert (await reread(batch)).blocks_open == 0
