import hashlib
import tracemalloc
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine import manifest as manifest_module
from engine.manifest import Manifest, ManifestWriter, plan_reading_blocks
from models.batch import Batch
from models.batch_member import add_members
from models.block import Block
from models.bucket import Bucket
from models.collection import Collection
from models.ids import new_id
from models.object import Blob, Object
from models.states import BlockStatus
from models.stores import Stores
from tests.engine.batches import draft, texts_in, words_of
from tests.extractors import choice
from tests.factories import make_batch, make_block, make_bucket, make_object
from tests.fixtures.stores import NamespaceOfTest


async def written(
    stores: Stores,
    bucket: Bucket,
    objects: Sequence[Object],
    *collections: Collection,
    block_rows: int = 10,
) -> Manifest:
    batch = await draft(bucket, objects, *collections)
    writer = ManifestWriter(batch, new_id("sub"), block_rows=block_rows, store=stores.artifacts)
    return await writer.write(collections)


async def stored_rows(stores: Stores, block: Block) -> list[str]:
    """Return the ids of the objects in the row group that a block names."""
    assert block.input is not None
    body = await stores.artifacts.read(block.input.key, sha256=block.input.sha256)
    group = pq.ParquetFile(pa.BufferReader(body)).read_row_group(block.input.row_group)
    ids: list[str] = group.column("object_id").to_pylist()
    return ids


async def test_a_row_group_is_a_block(stores: Stores, namespace: NamespaceOfTest) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    objects = texts_in(bucket, ["a"] * 25)

    made = await written(stores, bucket, objects, collection)

    assert [block.rows for block in made.blocks] == [10, 10, 5]
    assert [block.ordinal for block in made.blocks] == [0, 1, 2]
    assert {block.status for block in made.blocks} == {BlockStatus.READY}
    found = [one for block in made.blocks for one in await stored_rows(stores, block)]
    assert found == sorted(item.id for item in objects)


async def test_an_artifact_says_what_it_holds(stores: Stores, namespace: NamespaceOfTest) -> None:
    bucket = make_bucket(namespace.id)

    made = await written(stores, bucket, texts_in(bucket, ["a"] * 25), words_of(bucket))

    (artifact,) = made.artifacts
    body = await stores.artifacts.read(artifact.key, sha256=artifact.sha256)
    assert hashlib.sha256(body).hexdigest() == artifact.sha256
    assert (artifact.rows, artifact.bytes) == (25, len(body))
    assert pq.ParquetFile(pa.BufferReader(body)).metadata.num_rows == 25
    assert artifact.key.startswith(f"{namespace.id}/batches/")


async def test_collections_of_one_extractor_share_a_file(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    ours, theirs = words_of(bucket), words_of(bucket)
    other = words_of(bucket, choice("failing@v1"))

    made = await written(stores, bucket, texts_in(bucket, ["a"] * 12), ours, theirs, other)

    assert sorted((one.extractor, one.rows) for one in made.artifacts) == [
        ("constant@v1", 24),
        ("failing@v1", 12),
    ]
    for collection in (ours, theirs, other):
        mine = [block for block in made.blocks if block.collection_id == collection.id]
        assert [len(await stored_rows(stores, block)) for block in mine] == [10, 2]


async def test_parts_rotate_when_they_are_large(
    stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_module, "_PART_BYTES", 1)
    bucket = make_bucket(namespace.id)

    made = await written(stores, bucket, texts_in(bucket, ["a"] * 25), words_of(bucket))

    assert [artifact.rows for artifact in made.artifacts] == [10, 10, 5]
    parts = [artifact.key.rpartition("/")[2] for artifact in made.artifacts]
    assert parts == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    found = [one for block in made.blocks for one in await stored_rows(stores, block)]
    assert len(set(found)) == 25


async def test_large_rows_make_smaller_blocks(stores: Stores, namespace: NamespaceOfTest) -> None:
    bucket = make_bucket(namespace.id)
    inline = texts_in(bucket, ["x" * 2**20] * 18)
    blob = Blob(property="content", url="s3://inputs/large", size_bytes=2**23)
    elsewhere = [make_object(bucket, id=f"obj_~{last}", blobs=[blob]) for last in range(3)]

    made = await written(stores, bucket, [*inline, *elsewhere], words_of(bucket), block_rows=1000)

    assert [block.rows for block in made.blocks] == [16, 4, 1]


async def test_rows_without_input_are_counted_and_sampled(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    without = [make_object(bucket, blobs=[]) for _ in range(120)]

    made = await written(stores, bucket, [*texts_in(bucket, ["a"] * 3), *without], collection)

    funnel = made.funnels[collection.id]
    assert (funnel.rows_in, funnel.missing, len(funnel.sample)) == (123, 120, 100)
    assert funnel.sample[0].message == "Input 'text' is missing: no field 'content'."
    assert [block.rows for block in made.blocks] == [3]


async def test_no_rows_make_no_artifact(stores: Stores, namespace: NamespaceOfTest) -> None:
    bucket = make_bucket(namespace.id)

    made = await written(stores, bucket, [make_object(bucket, blobs=[])], words_of(bucket))

    assert made.artifacts == []
    assert made.blocks == []


async def test_a_plan_counts_the_same_and_writes_nothing(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    collections = [words_of(bucket), words_of(bucket, choice("failing@v1"))]
    objects = [*texts_in(bucket, ["a"] * 25), make_object(bucket, blobs=[])]
    batch = await draft(bucket, objects, *collections)

    planned = await ManifestWriter(batch, "plan", block_rows=10, store=None).write(collections)

    done = await ManifestWriter(batch, "sub", block_rows=10, store=stores.artifacts).write(
        collections
    )
    assert sorted((one.collection_id, one.rows) for one in planned.blocks) == sorted(
        (one.collection_id, one.rows) for one in done.blocks
    )
    assert planned.funnels == done.funnels
    assert planned.artifacts == []
    assert not await Block.get_pymongo_collection().find_one({"batch_id": batch.id})


async def test_blocks_get_smaller_towards_the_end(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await draft(bucket, texts_in(bucket, ["a"] * 500), collection)

    writer = ManifestWriter(batch, "plan", block_rows=None, objects=500, store=None)
    rows = [block.rows or 0 for block in (await writer.write([collection])).blocks]

    assert sum(rows) == 500
    assert rows == sorted(rows, reverse=True)
    assert (rows[0], rows[-2]) == (125, 32)  # a quarter; what is still worth a block


@pytest.mark.long
async def test_memory_does_not_grow_with_the_objects(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    async def peak(count: int) -> int:
        bucket = make_bucket(namespace.id)
        collection = words_of(bucket)
        batch = await draft(bucket, [], collection)
        pattern = make_object(bucket, blobs=[Blob(property="content", text="words " * 100)])
        objects = [{**pattern.to_mongo(), "_id": f"{batch.id}-{row:06}"} for row in range(count)]
        await Object.get_pymongo_collection().insert_many(objects)
        await add_members(namespace.id, batch.id, [row["_id"] for row in objects])
        del objects
        writer = ManifestWriter(batch, "sub", block_rows=256, store=stores.artifacts)
        tracemalloc.start()
        try:
            await writer.write([collection])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = await peak(2_000), await peak(20_000)

    assert many < 1.5 * few


def reading(collections: list[list[Collection]], batch: Batch) -> dict[str, list[Block]]:
    first = [
        make_block(batch, collection_id=collection.id)
        for collection in collections[0]
        for _ in range(3)
    ]
    planned = plan_reading_blocks(batch, "sub", collections, first)
    by_collection: dict[str, list[Block]] = {}
    for block in [*first, *planned]:
        by_collection.setdefault(block.collection_id, []).append(block)
    return by_collection


async def test_a_reader_has_a_block_for_each_it_reads(namespace: NamespaceOfTest) -> None:
    bucket = make_bucket(namespace.id)
    left, right = words_of(bucket), words_of(bucket)
    both = words_of([left, right])
    top = words_of([both])

    blocks = reading([[left, right], [both], [top]], make_batch(namespace.id))

    upstream = [block.id for block in (*blocks[left.id], *blocks[right.id])]
    assert [block.reads for block in blocks[both.id]] == [[one] for one in upstream]
    assert [block.reads for block in blocks[top.id]] == [[one.id] for one in blocks[both.id]]
    assert {block.tier for block in blocks[top.id]} == {2}
    assert all(block.waits_for == block.reads for block in blocks[top.id])
    assert all(block.status == BlockStatus.WAITING for block in blocks[both.id])


async def test_one_that_needs_the_whole_tier_has_one_block(namespace: NamespaceOfTest) -> None:
    bucket = make_bucket(namespace.id)
    left, right = words_of(bucket), words_of(bucket)
    whole = words_of([left, right], choice("whole@v1"))

    blocks = reading([[left, right], [whole]], make_batch(namespace.id))

    (block,) = blocks[whole.id]
    assert block.reads == [one.id for one in (*blocks[left.id], *blocks[right.id])]


async def test_one_that_needs_a_tier_without_blocks_has_none(namespace: NamespaceOfTest) -> None:
    bucket = make_bucket(namespace.id)
    empty = words_of(bucket)
    whole = words_of([empty], choice("whole@v1"))

    assert plan_reading_blocks(make_batch(namespace.id), "sub", [[empty], [whole]], []) == []
