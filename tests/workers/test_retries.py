"""An ended batch goes on with what failed in it, and with nothing else."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine import runner
from engine.catalog import CATALOG
from engine.inline_pool import InlinePools
from engine.pools import Pool, Pools
from models.batch import Batch
from models.block import renew_block
from models.collection import Collection
from models.errors import (
    Conflict,
    ExtractorUnavailable,
    IllegalTransition,
    InvalidInput,
    StrataError,
)
from models.fields import ExtractorChoice
from models.scope import Scope
from models.states import FINAL, BlockStatus
from models.stores import Stores
from models.task import Task
from tests.engine.batches import (
    blocks_of,
    claim,
    documents_of,
    draft,
    errors_of,
    make_run,
    reread,
    said,
    texts_in,
    words_of,
)
from tests.extractors import EXTRACTORS, choice
from tests.factories import make_batch, make_bucket, store
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import inline_engine
from workers.batches import cancel_batch, reconcile
from workers.reopening import RetryChoice, RetryMode
from workers.retries import retry_batch
from workers.submissions import submit_batch

TEXTS = ["a", "busy", "b", "c busy", "d"]
ALL = RetryChoice(RetryMode.ALL)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know the test extractors; attempts follow one another at once."""
    for label, path in EXTRACTORS.items():
        monkeypatch.setitem(CATALOG, label, path)
    monkeypatch.setattr(runner, "_BACKOFF_CAP", 0.1)
    monkeypatch.setattr(runner, "_IDLE_SECONDS", 0.05)


class Breakable:
    """Pools that can be broken, and mended."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self.broken = True

    def pool(self, choice: ExtractorChoice) -> Pool:
        if self.broken:
            raise ExtractorUnavailable("The net is gone.", hint="Put it back.")
        return self._pools.pool(choice)


async def finish(stores: Stores, batch: Batch, pools: Pools | None = None) -> Batch:
    """Let the sweep alone bring a batch to its end."""
    async with inline_engine(stores, pools) as engine, asyncio.timeout(20):
        while (found := await reread(batch)).status not in FINAL:
            await reconcile(stores, engine, batch.id)
            await asyncio.gather(*engine.runs)
    return found


async def open_batch_of(
    stores: Stores, namespace: NamespaceOfTest, texts: list[str], *chain: ExtractorChoice
) -> tuple[Batch, list[Collection]]:
    """Submit a batch of texts over a chain of collections."""
    bucket = make_bucket(namespace.id)
    collections: list[Collection] = []
    for one in chain:
        collections.append(words_of([collections[-1]] if collections else bucket, one))
    batch = await draft(bucket, texts_in(bucket, texts), *collections)
    await submit_batch(stores, Scope(namespace.id), batch.id)
    return await reread(batch), collections


def busy(folder: Path, *, times: int = 3) -> ExtractorChoice:
    """Return the extractor that fails busy rows as often as that."""
    return choice("busy@v1", met=str(folder / "met"), times=times)


async def versions(collection: Collection) -> dict[str, Any]:
    """Return what a later write of any document would change."""
    found = await documents_of(collection)
    return {one.id: (one.block_id, one.epoch, one.updated_at) for one in found}


async def test_only_failed_rows_are_tried_again_through_every_tier(
    stores: Stores, namespace: NamespaceOfTest, tmp_path: Path
) -> None:
    chain = (busy(tmp_path), choice("constant@v1"), choice("whole@v1"))
    batch, (first, second, whole) = await open_batch_of(stores, namespace, TEXTS, *chain)
    ended = await finish(stores, batch)
    before = {**await versions(first), **await versions(second)}
    assert (ended.status, ended.counts.rows_failed, len(before)) == (
        "COMPLETED_WITH_ERRORS", 2, 6,
    )  # fmt: skip

    retry = await retry_batch(stores, namespace.scope, batch.id, RetryChoice())
    again = await finish(stores, batch)

    assert (retry.rows, retry.batch.status, retry.batch.retries) == (2, "QUEUED", 1)
    assert (again.status, again.error_message) == ("COMPLETED", None)
    after = {**await versions(first), **await versions(second)}
    assert before.items() <= after.items()
    for collection in (first, second, whole):
        assert await said(collection) == ["a", "b", "busy", "busy", "c", "d"]
        row = await Collection.get(collection.id)
        assert row is not None
        assert row.document_count == 6
        assert await stores.vectors.count(collection.id) == 6
    counts = again.counts
    assert counts.rows_in == counts.rows_succeeded == 5 + 6 + 6
    assert (counts.rows_failed, counts.documents_written) == (0, 18)
    assert await errors_of(batch) == []
    met = (tmp_path / "met").read_text().splitlines()
    assert [met.count(text) for text in TEXTS] == [1, 4, 1, 4, 1]


async def test_a_block_that_failed_begins_afresh_and_so_do_its_readers(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    chain = (choice("constant@v1"), choice("constant@v1"))
    batch, (first, second) = await open_batch_of(stores, namespace, ["a", "b c"], *chain)
    pools = Breakable(InlinePools(stores.settings.cache))
    failed = await finish(stores, batch, pools)
    epochs = [block.epoch for block in await blocks_of(batch)]
    assert failed.status == "FAILED"
    pools.broken = False

    with pytest.raises(Conflict, match="Nothing of batch"):
        await retry_batch(stores, namespace.scope, batch.id, RetryChoice())
    await retry_batch(stores, namespace.scope, batch.id, ALL)
    ended = await finish(stores, batch, pools)

    assert (ended.status, ended.blocks_open, ended.completed_tiers) == ("COMPLETED", 0, [0, 1])
    assert await said(first) == await said(second) == ["a", "b", "c"]
    counts = ended.counts
    assert (counts.rows_in, counts.rows_succeeded, counts.documents_written) == (5, 5, 6)
    blocks = await blocks_of(batch)
    assert {block.status for block in blocks} == {BlockStatus.DONE}
    assert all(block.epoch > epoch for block, epoch in zip(blocks, epochs, strict=True))
    task = await Task.get(ended.task_id)
    assert task is not None
    assert (task.status, task.error_message) == ("COMPLETED", None)


async def test_a_canceled_batch_goes_on_where_it_was_stopped(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    chain = (choice("constant@v1"), choice("constant@v1"))
    batch, (first, second) = await open_batch_of(stores, namespace, ["a"] * 3, *chain)
    run = await make_run(stores, await claim(stores, batch.id), InlinePools(stores.settings.cache))
    while not await documents_of(first):
        await run._turn()
        await run._wait()
    await cancel_batch(stores, namespace.scope, batch.id)
    held = [block for block in await blocks_of(batch) if block.status is BlockStatus.CANCELED]
    assert held
    before = await versions(first)

    await retry_batch(stores, namespace.scope, batch.id, RetryChoice())
    assert not any([await renew_block(block, lease_seconds=30) for block in held])
    ended = await finish(stores, batch)

    assert ended.status == "COMPLETED"
    assert before.items() <= (await versions(first)).items()
    assert len(await documents_of(second)) == 3
    assert (ended.counts.rows_in, ended.counts.rows_succeeded) == (6, 6)


async def test_two_retries_at_once_are_one(
    stores: Stores, namespace: NamespaceOfTest, tmp_path: Path
) -> None:
    batch, (only,) = await open_batch_of(stores, namespace, TEXTS, busy(tmp_path))
    await finish(stores, batch)

    answers = await asyncio.gather(
        *(retry_batch(stores, namespace.scope, batch.id, RetryChoice()) for _ in range(4)),
        return_exceptions=True,
    )
    ended = await finish(stores, batch)

    refused = [answer for answer in answers if isinstance(answer, StrataError)]
    assert (len(refused), {error.code for error in refused}) == (3, {"ILLEGAL_TRANSITION"})
    assert (ended.status, ended.retries, ended.blocks_total) == ("COMPLETED", 1, 3)
    assert len(await said(only)) == 6


async def test_a_choice_narrows_what_is_tried_again(
    stores: Stores, namespace: NamespaceOfTest, tmp_path: Path
) -> None:
    batch, (only,) = await open_batch_of(stores, namespace, TEXTS, busy(tmp_path))
    await finish(stores, batch)
    failed = sorted(error.object_id or "" for error in await errors_of(batch))
    scope = namespace.scope

    with pytest.raises(Conflict, match="Nothing of batch"):
        await retry_batch(stores, scope, batch.id, RetryChoice(max_attempts=3))
    await retry_batch(stores, scope, batch.id, RetryChoice(object_ids=frozenset(failed[:1])))
    ended = await finish(stores, batch)

    assert (ended.status, ended.counts.rows_failed) == ("COMPLETED_WITH_ERRORS", 1)
    (left,) = await errors_of(batch)
    assert left.object_id == failed[1]
    assert await said(only) == ["a", "b", "busy", "d"]


async def test_a_row_remembers_the_attempts_before_its_retry(
    stores: Stores, namespace: NamespaceOfTest, tmp_path: Path
) -> None:
    batch, _ = await open_batch_of(stores, namespace, ["a", "busy"], busy(tmp_path, times=99))
    await finish(stores, batch)

    await retry_batch(stores, namespace.scope, batch.id, RetryChoice(max_attempts=6))
    ended = await finish(stores, batch)

    (error,) = await errors_of(batch)
    assert (error.attempts, ended.counts.rows_failed, ended.counts.rows_in) == (6, 1, 2)
    with pytest.raises(Conflict, match="Nothing of batch"):
        await retry_batch(stores, namespace.scope, batch.id, RetryChoice(max_attempts=6))


async def test_refuses_what_has_no_failures_or_no_such_place(
    stores: Stores, namespace: NamespaceOfTest, tmp_path: Path
) -> None:
    batch, _ = await open_batch_of(stores, namespace, ["a", "busy"], busy(tmp_path))
    new = make_batch(namespace.id)
    await store(new)

    for one in (batch, new):
        with pytest.raises(IllegalTransition):
            await retry_batch(stores, namespace.scope, one.id, ALL)
    await finish(stores, batch)
    for wrong in (
        RetryChoice(tiers=frozenset({7})),
        RetryChoice(collection_ids=frozenset({"col_x"})),
        RetryChoice(max_attempts=0),
    ):
        with pytest.raises(InvalidInput):
            await retry_batch(stores, namespace.scope, batch.id, wrong)
