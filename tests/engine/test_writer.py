import asyncio
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.inline_pool import InlinePools
from engine.writer import commit_block
from models.batch import Batch
from models.batch_member import add_members
from models.block import Block
from models.collection import Collection, InputMapping, Passthrough
from models.errors import ErrorCategory, StaleBlock
from models.events import EventType, read_events
from models.ids import document_id
from models.object import Blob, Object
from models.states import BatchStatus, BlockStatus
from models.stores import Stores
from tests.engine.batches import (
    blocks_of,
    claim,
    documents_of,
    errors_of,
    reread,
    run,
    said,
    submitted,
    texts_in,
    words_of,
)
from tests.engine.conftest import PutSource
from tests.engine.writing import take, write
from tests.extractors import choice
from tests.factories import make_batch, make_bucket, make_collection, make_object, store
from tests.fixtures.stores import NamespaceOfTest
from workers.batches import cancel_batch
from workers.submissions import submit_batch


async def let_lapse(block: Block) -> None:
    """Let a block's lease run out."""
    long_ago = Block.model_fields["lease_until"].default
    await Block.get_pymongo_collection().update_one(
        {"_id": block.id}, {"$set": {"lease_until": long_ago}}
    )


async def again(stores: Stores, bucket_id: str, namespace: NamespaceOfTest, *ids: str) -> Batch:
    """Submit another batch over objects that are there, and claim it."""
    batch = make_batch(namespace.id, bucket_id=bucket_id, submission=None)
    await store(batch)
    await add_members(namespace.id, batch.id, ids)
    await submit_batch(stores, namespace.scope, batch.id)
    return await claim(stores, batch.id)


async def say(item: Object, text: str) -> None:
    """Change what an object says."""
    blob = Blob(property="content", text=text)
    await Object.get_pymongo_collection().update_one(
        {"_id": item.id}, {"$set": {"blobs": [blob.model_dump()]}}
    )


async def test_ids_are_made_of_what_a_document_is(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    (item,) = objects = texts_in(bucket, ["one two"])
    batch = await submitted(stores, bucket, objects, collection)

    await run(stores, batch, inline)

    found = await documents_of(collection)
    assert [(document.ordinal, document.fields["word"]) for document in found] == [
        (0, "one"),
        (1, "two"),
    ]
    assert [document.id for document in found] == [
        document_id(
            namespace_id=namespace.id, collection_id=collection.id, source_id=item.id,
            extractor="constant@v1", ordinal=ordinal,
        )
        for ordinal in (0, 1)
    ]  # fmt: skip


async def test_a_second_batch_overwrites_the_first(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    (item,) = objects = texts_in(bucket, ["one two"])
    await run(stores, await submitted(stores, bucket, objects, collection), inline)

    second = await run(stores, await again(stores, bucket.id, namespace, item.id), inline)

    found = await documents_of(collection)
    assert {document.batch_id for document in found} == {second.id}
    stored = await namespace.scope.require(Collection, collection.id)
    assert (stored.document_count, len(found)) == (2, 2)
    assert stored.revision == 2
    assert await stores.vectors.count(collection.id) == 2


async def test_an_epoch_that_takes_over_writes_the_same_once(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["one two"]), collection)
    first = await write(stores, await take(stores, batch, collection))
    await let_lapse(first.work.block)

    second = await write(stores, await take(stores, batch, collection))
    await commit_block(stores, second.work, second.stored)

    assert second.work.block.epoch == first.work.block.epoch + 1
    assert {document.epoch for document in await documents_of(collection)} == {2}
    assert await stores.vectors.count(collection.id) == 2
    assert second.stored.pointer.key != first.stored.pointer.key


async def test_s23_a_stale_epoch_is_refused_and_leaves_nothing_readable(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["one two"]), collection)
    stale = await write(stores, await take(stores, batch, collection))
    await let_lapse(stale.work.block)
    await take(stores, batch, collection)

    with pytest.raises(StaleBlock, match="no longer ours under epoch 1"):
        await commit_block(stores, stale.work, stale.stored)

    assert await documents_of(collection) == []
    (block,) = await blocks_of(batch)
    assert (block.status, block.epoch, block.output) == (BlockStatus.LEASED, 2, None)
    now = await reread(batch)
    assert (now.blocks_open, now.counts.documents_written) == (1, 0)


async def test_a_stale_epoch_does_not_even_write_points(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["one two"]), collection)
    stale = await take(stores, batch, collection)
    await let_lapse(stale.block)
    fresh = await write(stores, await take(stores, batch, collection))
    await commit_block(stores, fresh.work, fresh.stored)

    with pytest.raises(StaleBlock):
        await write(stores, stale)

    assert {document.epoch for document in await documents_of(collection)} == {2}


async def test_a_commit_happens_once(stores: Stores, namespace: NamespaceOfTest) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["one"]), collection)
    written = await write(stores, await take(stores, batch, collection))
    await commit_block(stores, written.work, written.stored)

    with pytest.raises(StaleBlock):
        await commit_block(stores, written.work, written.stored)

    assert (await reread(batch)).counts.documents_written == 1


async def test_nothing_is_committed_after_a_cancel(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["one"]), collection)
    written = await write(stores, await take(stores, batch, collection))
    await cancel_batch(stores, namespace.scope, batch.id)

    with pytest.raises(StaleBlock):
        await commit_block(stores, written.work, written.stored)

    assert await documents_of(collection) == []
    assert (await reread(batch)).status == BatchStatus.CANCELED


@pytest.mark.parametrize(("text", "left"), [("one", ["one"]), ("", [])])
async def test_what_a_row_yields_no_longer_is_removed(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, text: str, left: list[str]
) -> None:
    bucket = make_bucket(namespace.id)
    first = words_of(bucket)
    second = words_of([first])
    (item,) = objects = texts_in(bucket, ["one two three"])
    await run(stores, await submitted(stores, bucket, objects, first, second), inline)
    await say(item, text)

    await run(stores, await again(stores, bucket.id, namespace, item.id), inline)

    for collection in (first, second):
        assert await said(collection) == left
        stored = await namespace.scope.require(Collection, collection.id)
        assert stored.document_count == len(left)
        assert await stores.vectors.count(collection.id) == len(left)


async def test_a_failed_row_keeps_its_documents(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("failing@v1"))
    (item,) = objects = texts_in(bucket, ["good words"])
    await run(stores, await submitted(stores, bucket, objects, collection), inline)
    await say(item, "bad words")

    second = await run(stores, await again(stores, bucket.id, namespace, item.id), inline)

    assert await said(collection) == ["good", "words"]
    assert second.counts.rows_failed == 1


async def test_counts_add_up_for_every_kind_of_row(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("failing@v1"))
    reader = words_of([collection], input_mappings=[InputMapping(input="text", path="word")])
    objects = texts_in(bucket, ["a b", "bad", "", "c", "bad d"])
    lacking = make_object(bucket, blobs=[])
    elsewhere = make_object(bucket, blobs=[Blob(property="content", url="s3://inputs/no")])
    batch = await submitted(stores, bucket, [*objects, lacking, elsewhere], collection, reader)

    ended = await run(stores, batch, inline)

    counts = ended.counts
    assert counts.model_dump() == {
        "objects": 0,  # set when objects are added through the product
        "rows_in": 7 + 3,
        "rows_filtered": 0,
        "rows_missing_input": 1,
        "rows_failed": 3,
        "rows_skipped": 1,
        "rows_succeeded": 2 + 3,
        "rows_reused": 0,
        "documents_written": 3 + 3,
    }
    assert counts.rows_settled == counts.rows_in
    errors = await errors_of(batch)
    assert sorted(str(error.object_id) for error in errors) == sorted(
        [objects[1].id, objects[4].id, lacking.id, elsewhere.id]
    )
    (bad, _) = [error for error in errors if error.message == "A bad word."]
    assert (bad.hint, bad.extractor, bad.attempts) == ("Say another.", "failing@v1", 1)


async def test_each_enrichment_is_in_the_history(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    first = words_of(bucket)
    second = words_of([first])
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), first, second, history=True)

    await run(stores, batch, inline)

    lower, upper = await blocks_of(batch)
    (document,) = await documents_of(second)
    steps = document.processing_history
    assert [(step["collectionId"], step["blockId"]) for step in steps] == [
        (first.id, lower.id),
        (second.id, upper.id),
    ]
    assert {step["extractor"] for step in steps} == {"constant@v1"}
    assert {step["parametersHash"] for step in steps} == {first.extractor.parameters_hash}
    assert all(0 <= step["durationMs"] < 60_000 for step in steps)
    assert [len(one.processing_history) for one in await documents_of(first)] == [1]


async def test_without_history_none_is_kept(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)

    await run(stores, await submitted(stores, bucket, texts_in(bucket, ["a"]), collection), inline)

    assert [one.processing_history for one in await documents_of(collection)] == [[]]


async def test_the_output_is_parquet_with_typed_columns(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, passthrough=[Passthrough(path="number", target="number")])
    batch = await submitted(stores, bucket, texts_in(bucket, ["one two", "three"]), collection)

    await run(stores, batch, inline)

    (block,) = await blocks_of(batch)
    assert block.output is not None
    body = await stores.artifacts.read(block.output.key, sha256=block.output.sha256)
    table = pq.read_table(pa.BufferReader(body))
    assert (block.output.rows, block.output.bytes) == (table.num_rows, len(body)) == (3, len(body))
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 4)
    assert table.schema.field("ordinal").type == pa.int32()
    assert table.column("word").to_pylist() == ["one", "two", "three"]
    assert table.column("ordinal").to_pylist() == [0, 1, 0]
    assert table.column("embedding").to_pylist() == [[0.5] * 4] * 3
    assert table.column("passthrough").to_pylist() == ['{"number":0}'] * 2 + ['{"number":1}']
    stored = {document.id for document in await documents_of(collection)}
    assert set(table.column("document_id").to_pylist()) == stored


async def test_a_document_too_large_for_mongodb_fails_its_row(
    stores: Stores, namespace: NamespaceOfTest, put_source: PutSource, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    url = await put_source("endless.txt", b"x" * (16 * 1024 * 1024))
    large = make_object(bucket, blobs=[Blob(property="content", url=url)])
    batch = await submitted(stores, bucket, [large, *texts_in(bucket, ["fine"])], collection)

    ended = await run(stores, batch, inline)

    assert await said(collection) == ["fine"]
    (error,) = await errors_of(batch)
    assert (error.object_id, error.category) == (large.id, ErrorCategory.RESOURCE)
    assert "makes a document of more than" in error.message
    assert (ended.counts.rows_failed, ended.counts.rows_succeeded) == (1, 1)


async def test_fields_keep_any_name_and_value(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    value: dict[str, Any] = {"a.b": 1, "$set": {"x": 2**40}, "nul": "a\0b", "list": [None, 1.5]}
    collection = make_collection(
        bucket,
        input_mappings=[],
        passthrough=[Passthrough(path="any", target="any")],
    )
    objects = [make_object(bucket, metadata={"any": value})]

    await run(stores, await submitted(stores, bucket, objects, collection), inline)

    (document,) = await documents_of(collection)
    assert document.fields == {"any": value}


async def test_a_commit_is_an_event_with_the_counts_after_it(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"] * 40), collection)

    await run(stores, batch, inline)

    events = await read_events(batch.id, after=0, limit=100)
    done = [event for event in events if event.type == EventType.BLOCK_DONE]
    assert [event.blocks_open for event in done] == [2, 1, 0]
    written = [event.counts["documents_written"] for event in done]
    assert written == sorted(written)
    assert written[-1] == 40
    sequences = [event.sequence for event in events]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


async def test_commits_side_by_side_lose_nothing(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"] * 80), collection)
    written = [await write(stores, await take(stores, batch, collection)) for _ in range(5)]

    await asyncio.gather(*(commit_block(stores, one.work, one.stored) for one in written))

    now = await reread(batch)
    assert (now.blocks_open, now.counts.documents_written) == (0, 80)
    stored = await namespace.scope.require(Collection, collection.id)
    assert (stored.document_count, stored.revision) == (80, 5)
