"""Qdrant comes back from the artifacts: all of it, only what is missing, and while batches run."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import rebuild
from engine.inline_pool import InlinePools
from engine.rebuild import Rebuilt, rebuild_collection
from models.block import Block
from models.collection import Collection
from models.embedded.endpoints import Endpoints
from models.ids import new_id
from models.states import BlockStatus
from models.stores import Stores
from tests.engine.batches import (
    documents_of,
    run,
    say,
    submitted,
    submitted_again,
    texts_in,
    with_engine,
    words_of,
)
from tests.factories import make_bucket, store
from tests.fixtures.stores import NamespaceOfTest

TEXTS = [f"word-{number}" for number in range(20)]


async def collection_of(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> Collection:
    """Return a collection with twenty documents in five blocks, one of them in another batch."""
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    objects = texts_in(bucket, TEXTS)
    narrow = with_engine(stores, block_rows=5)
    await run(stores, await submitted(narrow, bucket, objects, collection), inline)
    await say(objects[3], "changed")
    await run(stores, await submitted_again(narrow, bucket, objects[2:4]), inline)
    return collection


async def found_ids(stores: Stores, collection: Collection) -> list[str]:
    """Return every document that a search finds."""
    hits = await stores.vectors.search(collection.id, [1, 1, 1, 1], using="embedding", limit=100)
    return sorted(hit.document_id for hit in hits)


async def ids_of(collection: Collection) -> list[str]:
    """Return every document that is committed."""
    return sorted(document.id for document in await documents_of(collection))


async def test_a_dropped_qdrant_collection_is_found_again_by_search(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    collection = await collection_of(stores, namespace, inline)
    before = await namespace.scope.require(Collection, collection.id)
    await stores.vectors.drop(collection.id)
    seen: list[tuple[int, int]] = []

    def note(done: Rebuilt) -> None:
        seen.append((done.blocks_looked_at, done.blocks))

    done = await rebuild_collection(stores, collection, report=note)

    assert await found_ids(stores, collection) == await ids_of(collection)
    assert (done.points_written, done.lost) == (20, {})
    assert seen[:5] == [(number, 5) for number in range(1, 6)]
    after = await namespace.scope.require(Collection, collection.id)
    assert after.index_signature != before.index_signature


async def test_only_what_is_missing_is_written(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    collection = await collection_of(stores, namespace, inline)
    await stores.vectors.drop(collection.id)

    class Stopped(Exception): ...

    def stop_after_two(done: Rebuilt) -> None:
        if done.blocks_looked_at == 2:
            raise Stopped

    with pytest.raises(Stopped):
        await rebuild_collection(stores, collection, report=stop_after_two)
    there = await stores.vectors.count(collection.id)
    assert 0 < there < 20

    done = await rebuild_collection(stores, collection, report=lambda _: None)

    assert done.points_written == 20 - there
    again = await rebuild_collection(stores, collection, report=lambda _: None)
    assert again.points_written == 0
    everything = await rebuild_collection(
        stores, collection, report=lambda _: None, everything=True
    )
    assert everything.points_written == 20


async def test_what_is_lost_is_named_and_the_rest_comes_back(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    collection = await collection_of(stores, namespace, inline)
    await stores.vectors.drop(collection.id)
    block = await Block.find({"collection_id": collection.id, "ordinal": 1}).first_or_none()
    assert block is not None
    assert block.output is not None
    await stores.artifacts.delete_keys([block.output.key])

    done = await rebuild_collection(stores, collection, report=lambda _: None)

    assert done.lost == {block.id: f"Artifact {block.output.key} is gone from S3."}
    assert done.points_written == 15


async def test_a_point_that_a_running_batch_wrote_meanwhile_is_not_lost(
    stores: Stores,
    namespace: NamespaceOfTest,
    inline: InlinePools,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rebuild, "_POLL_SECONDS", 0.02)
    collection = await collection_of(stores, namespace, inline)
    await stores.vectors.drop(collection.id)
    batch_block = await Block.find({"collection_id": collection.id}).first_or_none()
    assert batch_block is not None
    running = batch_block.model_copy(
        update={"id": new_id("blk"), "status": BlockStatus.LEASED, "output": None}
    )
    await store(running)
    passes = 0

    def look(done: Rebuilt) -> None:
        nonlocal passes
        passes += done.blocks_looked_at == 1

    rebuilding = asyncio.create_task(rebuild_collection(stores, collection, report=look))
    async with asyncio.timeout(20):
        while passes < 3:  # it waits for the block that was under way while it wrote
            await asyncio.sleep(0.01)
    document = (await documents_of(collection))[0]
    original = await Block.get(document.block_id)
    assert original is not None
    # The block ends: the point of its document was written over by us.
    await (
        type(document)
        .get_pymongo_collection()
        .update_one(
            {"_id": document.id}, {"$set": {"block_id": running.id, "epoch": running.epoch}}
        )
    )
    output = original.output
    assert output is not None
    await Block.get_pymongo_collection().update_one(
        {"_id": running.id}, {"$set": {"status": "DONE", "output": output.model_dump()}}
    )
    await asyncio.wait_for(rebuilding, 20)

    count = await stores.vectors.count_block(collection.id, running.id, epoch=running.epoch)
    assert count == 1
    assert await found_ids(stores, collection) == await ids_of(collection)


def in_a_process(endpoints: Endpoints, data: Path, *arguments: str) -> tuple[int, str]:
    """Run `strata rebuild-vectors` on the tests' stores; return its exit status and output."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "graphql_api.cli", "rebuild-vectors", *arguments],
        env={**os.environ, **endpoints.environment(), "STRATA_DATA": str(data)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_the_command_rebuilds_a_namespace_and_says_so(
    stores: Stores,
    namespace: NamespaceOfTest,
    inline: InlinePools,
    endpoints: Endpoints,
    tmp_path: Path,
) -> None:
    collection = await collection_of(stores, namespace, inline)
    await stores.vectors.drop(collection.id)

    status, output = await asyncio.to_thread(in_a_process, endpoints, tmp_path, namespace.id)

    assert (status, output.strip()) == (
        0,
        f"{collection.name}: 20 points written, 5 blocks whole",
    )
    assert await found_ids(stores, collection) == await ids_of(collection)
