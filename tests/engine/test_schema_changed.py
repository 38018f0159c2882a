"""A collection's observed fields grow once for each thing that is new, with one event."""

import asyncio
from typing import Any

from engine.inline_pool import InlinePools
from engine.writer import commit_block
from models.bucket import Bucket
from models.collection import Collection, Passthrough
from models.events import EventType, Notice
from models.object import Object
from models.stores import Stores
from models.webhook import WebhookEventType, public_type
from tests.engine.batches import run, submitted, submitted_again, texts_in, words_of
from tests.engine.test_writer import let_lapse
from tests.engine.writing import take, write
from tests.factories import make_bucket
from tests.fixtures.stores import NamespaceOfTest

FIRST = {"word STRING", "number INTEGER", "embedding VECTOR"}


def passing(bucket: Bucket) -> Collection:
    return words_of(bucket, passthrough=[Passthrough(path="number", target="number")])


async def notices(namespace: NamespaceOfTest) -> list[Notice]:
    match = {"namespace_id": namespace.id, "type": str(EventType.SCHEMA_CHANGED)}
    found = Notice.get_pymongo_collection().find(match, sort=[("_id", 1)])
    return [Notice.model_validate(row) async for row in found]


async def told(namespace: NamespaceOfTest) -> list[set[str]]:
    """What each event says is new."""
    return [
        {f"{one['path']} {one['type']}" for one in notice.data["fields"]}
        for notice in await notices(namespace)
    ]


async def observed(namespace: NamespaceOfTest, collection: Collection) -> list[str]:
    stored = await namespace.scope.require(Collection, collection.id)
    return sorted(f"{one.path} {one.type}" for one in stored.observed)


async def count(item: Object, value: Any) -> None:
    """Give an object another number."""
    await Object.get_pymongo_collection().update_one(
        {"_id": item.id}, {"$set": {"metadata.number": value}}
    )


async def test_blocks_that_commit_at_once_tell_of_a_field_once(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    collection = passing(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"] * 80), collection)
    written = [await write(stores, await take(stores, batch, collection)) for _ in range(5)]

    await asyncio.gather(*(commit_block(stores, one.work, one.stored) for one in written))

    assert await told(namespace) == [FIRST]
    assert await observed(namespace, collection) == sorted(FIRST)


async def test_the_event_is_for_webhooks_and_names_its_subject(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = passing(bucket)

    await run(stores, await submitted(stores, bucket, texts_in(bucket, ["a"]), collection), inline)

    (notice,) = await notices(namespace)
    assert public_type(notice) is WebhookEventType.COLLECTION_SCHEMA_CHANGED
    assert notice.subject == ("COLLECTION", collection.id)
    assert (notice.bucket_id, notice.collection_ids) == (bucket.id, [collection.id])


async def test_what_is_written_again_is_not_new(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = passing(bucket)
    objects = texts_in(bucket, ["a", "b"])
    batch = await submitted(stores, bucket, objects, collection)
    late = await write(stores, await take(stores, batch, collection))
    await let_lapse(late.work.block)
    await run(stores, batch, inline)

    await run(stores, await submitted_again(stores, bucket, objects, reuse=False), inline)

    stored = await namespace.scope.require(Collection, collection.id)
    assert stored.revision == 2  # both batches wrote
    assert await told(namespace) == [FIRST]


async def test_another_type_and_what_lies_inside_are_new(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = passing(bucket)
    (item,) = objects = texts_in(bucket, ["a"])
    await run(stores, await submitted(stores, bucket, objects, collection), inline)
    before = await namespace.scope.require(Collection, collection.id)

    await count(item, {"of": ["pieces"]})
    await run(stores, await submitted_again(stores, bucket, objects), inline)

    more = {"number OBJECT", "number.of ARRAY", "number.of[] STRING"}
    assert await told(namespace) == [FIRST, more]
    after = await namespace.scope.require(Collection, collection.id)
    assert after.observed[: len(before.observed)] == before.observed  # first seen when they were
    assert await observed(namespace, collection) == sorted(FIRST | more)


async def test_a_batch_without_documents_tells_of_nothing(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = passing(bucket)

    await run(stores, await submitted(stores, bucket, texts_in(bucket, [" "]), collection), inline)

    assert await told(namespace) == []
    assert await observed(namespace, collection) == []
