"""Batches over graphs of collections: exact counts, overlap, and what a failure holds up."""

import asyncio
from pathlib import Path

import pytest

from engine import runner
from engine.inline_pool import InlinePools
from graphql_api.batches.tiers import TierCollection, show_tiers
from models.batch import Batch
from models.block import sum_blocks
from models.collection import Collection, InputMapping, Passthrough, Source
from models.document import Document
from models.fields import VectorField
from models.filters import Condition, Filter, FilterOperator
from models.states import BatchStatus, BlockStatus
from models.stores import Stores
from tests.engine.batches import (
    blocks_of,
    documents_of,
    reread,
    run,
    said,
    submitted,
    texts_in,
    words_of,
)
from tests.extractors import VECTOR, choice
from tests.factories import make_bucket, make_collection
from tests.fixtures.stores import BLOCK_ROWS, NamespaceOfTest
from workers.batches import judge


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another at once."""
    monkeypatch.setattr(runner, "_BACKOFF_CAP", 0.1)
    monkeypatch.setattr(runner, "_IDLE_SECONDS", 0.02)


def where(path: str, operator: FilterOperator, value: object) -> Filter:
    return Filter(condition=Condition(path=path, operator=operator, value=value))


def reading(*upstream: Collection, only: Filter | None = None) -> Collection:
    """Return a collection over the words of others."""
    source = Source(collection_ids=[one.id for one in upstream], filter=only)
    return words_of(list(upstream), source=source)


async def funnels(batch: Batch) -> dict[str, TierCollection]:
    """Return what the API says of each collection of a batch."""
    found = await reread(batch)
    tiers = show_tiers(found, await sum_blocks(found.id, found.submission or ""))
    return {str(one.collection_id): one for tier in tiers for one in tier.collections}


async def verdict(batch: Batch) -> BatchStatus:
    return judge(batch.counts, await sum_blocks(batch.id, batch.submission or ""))[0]


async def test_a_diamond_with_fan_out_counts_every_row(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    root = words_of(bucket)
    arms = [reading(root) for _ in range(3)]
    top = reading(*arms)
    texts = [f"a{number} b{number}" for number in range(2 * BLOCK_ROWS + 1)]
    batch = await submitted(stores, bucket, texts_in(bucket, texts), root, *arms, top)

    ended = await run(stores, batch, inline)

    words = 2 * len(texts)
    assert len(await documents_of(root)) == words
    assert [len(await documents_of(arm)) for arm in arms] == [words] * 3
    assert len(await documents_of(top)) == 3 * words
    assert ended.counts.rows_in == ended.counts.rows_succeeded == len(texts) + 3 * words + 3 * words
    assert ended.counts.documents_written == words + 3 * words + 3 * words
    assert await verdict(ended) == BatchStatus.COMPLETED


async def test_five_tiers_keep_the_lineage_to_the_object(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    chain = [words_of(bucket)]
    while len(chain) < 5:
        chain.append(reading(chain[-1]))
    objects = texts_in(bucket, ["alpha beta", "gamma"])
    batch = await submitted(stores, bucket, objects, *chain)

    ended = await run(stores, batch, inline)

    assert [await said(one) for one in chain] == [["alpha", "beta", "gamma"]] * 5
    assert (ended.counts.rows_in, ended.counts.documents_written) == (2 + 4 * 3, 5 * 3)
    below: dict[str, Document] = {d.id: d for d in await documents_of(chain[3])}
    for document in await documents_of(chain[4]):
        assert below[document.source_id].object_id == document.object_id
    assert [number for number, tier in enumerate(ended.tiers) if tier.number == number] == [
        *range(5)
    ]


async def test_filters_of_both_kinds_of_source_fill_the_funnel(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    root = words_of(bucket)
    even = Filter(
        all_of=[
            where("number", FilterOperator.GTE, 4),
            Filter(negated=where("number", FilterOperator.IN, [5, 7])),
        ]
    )
    root = root.model_copy(update={"source": Source(bucket_id=bucket.id, filter=even)})
    chosen = reading(root, only=where("word", FilterOperator.EQ, "keep"))
    objects = texts_in(bucket, ["keep drop"] * 10)
    batch = await submitted(stores, bucket, objects, root, chosen)
    before = await funnels(batch)

    ended = await run(stores, batch, inline)

    after = await funnels(batch)
    first, second = after[root.id].funnel, after[chosen.id].funnel
    assert (first.fetched, first.filtered, first.submitted, first.succeeded) == (10, 6, 4, 4)
    assert (second.fetched, second.filtered, second.submitted, second.succeeded) == (8, 4, 4, 4)
    assert (first.documents_written, second.documents_written) == (8, 4)
    assert (before[root.id].funnel.filtered, before[root.id].funnel.submitted) == (6, 4)
    assert before[chosen.id].funnel.fetched == 0
    assert await said(chosen) == ["keep"] * 4
    assert ended.counts.rows_filtered == 10
    assert await verdict(ended) == BatchStatus.COMPLETED


async def test_a_batch_of_which_nothing_fits_says_that_it_was_filtered(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    none = Source(bucket_id=bucket.id, filter=where("number", FilterOperator.LT, 0))
    root = words_of(bucket).model_copy(update={"source": none})
    batch = await submitted(stores, bucket, texts_in(bucket, ["a", "b"]), root, reading(root))

    ended = await run(stores, batch, inline)

    status, message = judge(ended.counts, await sum_blocks(ended.id, ended.submission or ""))
    assert status == BatchStatus.FAILED
    assert message is not None
    assert "2 were filtered" in message


async def test_a_vector_of_the_upstream_document_is_an_input(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    root = words_of(bucket)
    kept = make_collection(
        [root],
        extractor=choice("passthrough@v1", vector_dimension=VECTOR.dimension),
        input_mappings=[InputMapping(input="vector", vector=VECTOR.name)],
        passthrough=[Passthrough(path="word", target="said", required=True)],
        vectors=[VectorField(name="vector", dimension=VECTOR.dimension)],
    )
    batch = await submitted(stores, bucket, texts_in(bucket, ["alpha beta"]), root, kept)

    ended = await run(stores, batch, inline)

    documents = await documents_of(kept)
    hits = await stores.vectors.search(kept.id, [1.0] * 4, using="vector", limit=10)
    assert sorted(one.fields["said"] for one in documents) == ["alpha", "beta"]
    assert {hit.document_id for hit in hits} == {one.id for one in documents}
    assert [round(hit.score, 5) for hit in hits] == [1.0, 1.0]
    assert ended.counts.rows_failed == 0


async def test_a_vector_of_another_length_fails_its_row(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    root = words_of(bucket)
    kept = make_collection(
        [root],
        extractor=choice("passthrough@v1", vector_dimension=3),
        input_mappings=[InputMapping(input="vector", vector=VECTOR.name)],
        passthrough=[],
        vectors=[VectorField(name="vector", dimension=3)],
    )
    batch = await submitted(stores, bucket, texts_in(bucket, ["alpha beta"]), root, kept)

    await run(stores, batch, inline)

    assert (await funnels(batch))[kept.id].funnel.failed == 2


async def test_a_reader_starts_before_the_tier_below_has_ended(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, tmp_path: Path, hasty: None
) -> None:
    """With a barrier between tiers nobody would open the gate."""
    bucket, gate = make_bucket(namespace.id), tmp_path / "gate"
    quick, held = words_of(bucket), words_of(bucket, choice("holding@v1", gate=str(gate)))
    early = reading(quick, held)
    whole = words_of([quick, held], choice("whole@v1"))
    batch = await submitted(stores, bucket, texts_in(bucket, ["hold"]), quick, held, early, whole)
    running = asyncio.create_task(run(stores, batch, inline))

    while not await documents_of(early):
        assert not running.done()
        await asyncio.sleep(0.02)
    status = {(one.collection_id, *one.reads): one.status for one in await blocks_of(batch)}
    funnel = (await funnels(batch))[early.id].funnel
    gate.touch()
    ended = await running

    assert status[held.id,] == BlockStatus.LEASED
    assert [found for (name, *_), found in status.items() if name == whole.id] == ["WAITING"]
    assert (funnel.fetched, funnel.documents_written) == (1, 1)
    assert await said(early) == await said(whole) == ["hold", "hold"]
    assert ended.counts.documents_written == 1 + 1 + 2 + 2


async def test_an_extractor_that_needs_all_of_a_bucket_gets_one_block(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    whole, usual = words_of(bucket, choice("whole@v1")), words_of(bucket)
    texts = ["a"] * (2 * BLOCK_ROWS)

    batch = await submitted(stores, bucket, texts_in(bucket, texts), whole, usual)

    blocks = await blocks_of(batch)
    assert [one.rows for one in blocks if one.collection_id == whole.id] == [len(texts)]
    assert [one.rows for one in blocks if one.collection_id == usual.id] == [BLOCK_ROWS] * 2


async def test_a_failed_block_holds_up_its_descendants_only_and_they_say_so(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, hasty: None
) -> None:
    bucket = make_bucket(namespace.id)
    root = words_of(bucket)
    bad = words_of([root], choice("failing@v1"))
    good = reading(root)
    below_bad, whole_of_bad = reading(bad), words_of([bad], choice("whole@v1"))
    both = reading(bad, good)
    texts = ["raise"] * BLOCK_ROWS + ["fine"] * BLOCK_ROWS
    batch = await submitted(
        stores, bucket, texts_in(bucket, texts), root, bad, good, below_bad, whole_of_bad, both
    )

    ended = await run(stores, batch, inline)

    seen = await funnels(batch)
    written = {name: int(one.funnel.documents_written) for name, one in seen.items()}
    half = BLOCK_ROWS
    assert written == {
        root.id: 2 * half, good.id: 2 * half, bad.id: half,
        below_bad.id: half, whole_of_bad.id: 0, both.id: 3 * half,
    }  # fmt: skip
    failed = next(one for one in await blocks_of(batch) if one.status == BlockStatus.FAILED)
    for collection, canceled in ((below_bad, 1), (whole_of_bad, 1), (both, 1)):
        assert seen[collection.id].blocks.canceled == canceled
        assert seen[collection.id].blocked_reason == (
            f"1 of its blocks never ran. Block {failed.id}, which this one reads, failed."
        )
    assert seen[good.id].blocked_reason is None
    assert seen[bad.id].funnel.failed == half
    assert await verdict(ended) == BatchStatus.COMPLETED_WITH_ERRORS
