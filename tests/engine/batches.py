"""Batches for the engine's tests: made, submitted and claimed as by the product, then run here."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.inputs import InputReader
from engine.pools import Pools
from engine.runner import BatchRun
from engine.slots import Slots
from models.batch import Batch, claim_batch
from models.batch_member import add_members
from models.block import Block
from models.bucket import Bucket
from models.collection import Collection, InputMapping
from models.document import Document
from models.fields import ExtractorChoice
from models.ids import new_id
from models.object import Blob, Object
from models.row_error import RowError
from models.scope import Scope
from models.stored import LONG_AGO
from models.stores import Stores
from tests.extractors import VECTOR, choice
from tests.factories import make_batch, make_collection, make_object, store
from workers.submissions import submit_batch


def with_engine(stores: Stores, **engine: Any) -> Stores:
    """Return the same stores under other engine settings."""
    changed = stores.settings.engine.model_copy(update=engine)
    return replace(stores, settings=stores.settings.model_copy(update={"engine": changed}))


def words_of(
    source: Bucket | list[Collection], extractor: ExtractorChoice | None = None, /, **values: Any
) -> Collection:
    """Return a collection that runs one of the test extractors over the texts of its source."""
    path = "content" if isinstance(source, Bucket) else "word"
    return make_collection(
        source,
        **{
            "extractor": extractor or choice("constant@v1"),
            "input_mappings": [InputMapping(input="text", path=path)],
            "passthrough": [],
            "vectors": [VECTOR],
            **values,
        },
    )


def texts_in(bucket: Bucket, texts: Sequence[str]) -> list[Object]:
    """Return an object for each text, in the order in which a batch reads them."""
    ids = sorted(new_id("obj") for _ in texts)
    return [
        make_object(
            bucket,
            id=ids[number],
            metadata={"number": number},
            blobs=[Blob(property="content", text=text)],
        )
        for number, text in enumerate(texts)
    ]


async def draft(bucket: Bucket, objects: Sequence[Object], *collections: Collection) -> Batch:
    """Store everything that a batch needs."""
    batch = make_batch(bucket.namespace_id, bucket_id=bucket.id, submission=None)
    await store(bucket, *collections, batch)
    if objects:
        await Object.get_pymongo_collection().insert_many([one.to_mongo() for one in objects])
    await add_members(bucket.namespace_id, batch.id, [one.id for one in objects])
    return batch


async def claim(stores: Stores, batch_id: str, *, lease_seconds: float = 30.0) -> Batch:
    """Take a batch as a worker does before it hands it over."""
    claimed = await stores.database.transaction(
        lambda session: claim_batch(session, batch_id, lease_seconds=lease_seconds)
    )
    assert claimed is not None
    return claimed[0]


async def lapse(batch: Batch) -> None:
    """Let the leases of a batch and of its blocks be over."""
    ended = {"$set": {"lease_until": LONG_AGO}}
    await Batch.get_pymongo_collection().update_one({"_id": batch.id}, ended)
    await Block.get_pymongo_collection().update_many({"batch_id": batch.id}, ended)


async def submitted(
    stores: Stores,
    bucket: Bucket,
    objects: Sequence[Object],
    *collections: Collection,
    history: bool = False,
) -> Batch:
    """Draft, submit and claim."""
    batch = await draft(bucket, objects, *collections)
    scope = Scope(bucket.namespace_id)
    await submit_batch(stores, scope, batch.id, include_processing_history=history)
    return await claim(stores, batch.id)


async def submitted_again(
    stores: Stores, bucket: Bucket, objects: Sequence[Object], *, reuse: bool = True
) -> Batch:
    """Submit and claim another batch of objects whose bucket and collections are there already."""
    batch = make_batch(bucket.namespace_id, bucket_id=bucket.id, submission=None)
    await store(batch)
    await add_members(bucket.namespace_id, batch.id, [one.id for one in objects])
    await submit_batch(stores, Scope(bucket.namespace_id), batch.id, reuse=reuse)
    return await claim(stores, batch.id)


async def say(item: Object, text: str) -> None:
    """Give an object another text."""
    blob = Blob(property="content", text=text)
    await Object.get_pymongo_collection().update_one(
        {"_id": item.id}, {"$set": {"blobs": [blob.model_dump()]}}
    )


async def make_run(
    stores: Stores, batch: Batch, pools: Pools, slots: Slots | None = None
) -> BatchRun:
    """Return the run of a claimed batch in this process."""
    wanted = [one for tier in batch.tiers for one in tier.collection_ids]
    collections = await Scope(batch.namespace_id).find_many(Collection, wanted)
    return BatchRun(
        stores, batch, collections,
        pools=pools, reader=InputReader(stores.artifacts), owner="test", slots=slots,
    )  # fmt: skip


async def run(stores: Stores, batch: Batch, pools: Pools) -> Batch:
    """Run a claimed batch to its end and return it as it is then."""
    await (await make_run(stores, batch, pools)).run()
    return await reread(batch)


async def reread(batch: Batch) -> Batch:
    """Return a batch as it is now."""
    return await Scope(batch.namespace_id).require(Batch, batch.id)


async def blocks_of(batch: Batch) -> list[Block]:
    """Return a batch's blocks in their order."""
    found = await Scope(batch.namespace_id).all(Block, {"batch_id": batch.id})
    return sorted(found, key=lambda block: (block.tier, block.ordinal))


async def documents_of(collection: Collection) -> list[Document]:
    """Return a collection's documents, by source and ordinal."""
    scope = Scope(collection.namespace_id)
    found = await scope.all(Document, {"collection_id": collection.id})
    return sorted(found, key=lambda document: (document.source_id, document.ordinal))


async def errors_of(batch: Batch) -> list[RowError]:
    """Return what was written down of failed rows."""
    return await Scope(batch.namespace_id).all(RowError, {"batch_id": batch.id})


async def said(collection: Collection) -> list[str]:
    """Return the words that a collection holds, sorted."""
    return sorted(document.fields["word"] for document in await documents_of(collection))


async def appeared(path: Path) -> None:
    """Return when an extractor has left its sign."""
    while not path.exists():  # noqa: ASYNC240  # one stat of a local file
        await asyncio.sleep(0.01)
