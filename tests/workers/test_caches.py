"""Answers given again: never older than a write, never to strangers, always dispensable."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from models.bus import Bus
from models.cache import AnswerCache
from models.collection import Collection
from models.database import Session
from models.document import Document
from models.ids import new_id
from models.settings import AnswerSettings, RedisSettings
from models.stores import Stores
from tests.factories import make_batch, make_block, make_bucket, make_collection, make_document
from tests.factories import store as insert
from tests.fixtures.stores import NamespaceOfTest
from workers import cache_drops
from workers.cache_drops import CacheDrops
from workers.caches import (
    Answers,
    CacheScope,
    CacheStatus,
    Form,
    Recalled,
    drop_answers,
    read_document,
)

HIT, MISS, BYPASS = CacheStatus
COUNT: Form[int] = Form("count", lambda count: {"count": count}, lambda row: int(row["count"]))
WRITES = 12


@pytest.fixture
async def collection(namespace: NamespaceOfTest) -> Collection:
    """A collection without documents."""
    made = make_collection(make_bucket(namespace.id))
    await insert(made)
    return made


@pytest.fixture
def answers(stores: Stores, namespace: NamespaceOfTest) -> Answers:
    """The namespace's answers."""
    return Answers(stores.answers, namespace.scope)


def limited(stores: Stores, answers: Answers, **settings: Any) -> Answers:
    return replace(answers, cache=AnswerCache(stores.bus, AnswerSettings(**settings)))


async def write(stores: Stores, collection: Collection) -> None:
    """Commit a document, as the commit of a block does."""
    block = make_block(make_batch(collection.namespace_id), collection_id=collection.id)
    document = make_document(block)

    async def commit(session: Session) -> None:
        await Document.get_pymongo_collection().insert_one(document.to_mongo(), session=session)
        await Collection.get_pymongo_collection().update_one(
            {"_id": collection.id},
            {"$inc": {"document_count": 1, "revision": 1}},
            session=session,
        )

    await stores.database.transaction(commit)


async def count(answers: Answers, collection: Collection, question: Any = "all") -> Recalled[int]:
    """Ask how many documents there are, as a resolver asks."""
    read = await answers.collections([collection.id])
    match = {"collection_id": collection.id}
    return await answers.recall(
        COUNT, question, read, partial(answers.scope.count, Document, match)
    )


async def test_an_answer_is_given_again_until_its_collection_changes(
    stores: Stores, answers: Answers, collection: Collection
) -> None:
    first = await count(answers, collection)
    again = await count(answers, collection)
    await write(stores, collection)
    changed = await count(answers, collection)

    assert [(one.value, one.status) for one in (first, again, changed)] == [
        (0, MISS),
        (0, HIT),
        (1, MISS),
    ]
    assert first.signature == again.signature == collection.index_signature != changed.signature
    assert again.age_seconds is not None
    assert 0 <= again.age_seconds < 60


async def test_no_answer_is_older_than_an_acknowledged_write(
    stores: Stores, answers: Answers, collection: Collection
) -> None:
    acknowledged = 0
    statuses: set[CacheStatus] = set()

    async def write_some() -> None:
        nonlocal acknowledged
        for _ in range(WRITES):
            await write(stores, collection)
            acknowledged += 1
            # Both kinds of answers come between two writes, however the tasks are woken.
            await count(answers, collection)

    async def read_on() -> None:
        while not writing.done():
            known = acknowledged
            found = await count(answers, collection)
            statuses.add(found.status)
            assert found.value >= known

    writing = asyncio.gather(*(write_some() for _ in range(3)))
    await asyncio.gather(writing, *(read_on() for _ in range(4)))

    last = await count(answers, collection)
    assert last.value == 3 * WRITES
    assert MISS in statuses
    assert (await count(answers, collection)).status is HIT


async def test_an_answer_that_a_write_overtook_is_not_kept(
    stores: Stores, answers: Answers, collection: Collection
) -> None:
    read = await answers.collections([collection.id])

    async def slow() -> int:
        found = await answers.scope.count(Document, {"collection_id": collection.id})
        await write(stores, collection)
        return found

    overtaken = await answers.recall(COUNT, "all", read, slow)

    assert (overtaken.value, overtaken.status) == (0, MISS)
    assert (await answers.cache.read_counts(answers.scope.namespace_id)).answers == 0
    assert (await count(answers, collection)).value == 1


async def test_another_question_is_another_answer(answers: Answers, collection: Collection) -> None:
    asked = [1, 1.0, True, "1", [1], {"a": 1}, {"b": 1}, None]

    statuses = [(await count(answers, collection, question)).status for question in asked]

    assert statuses == [MISS] * len(asked)


async def test_a_bypass_neither_reads_nor_keeps(answers: Answers, collection: Collection) -> None:
    past = replace(answers, bypass=True)

    assert [(await count(past, collection)).status for _ in range(2)] == [BYPASS, BYPASS]
    assert (await count(answers, collection)).status is MISS


async def test_nothing_is_remembered_of_a_collection_that_is_gone(
    answers: Answers, collection: Collection
) -> None:
    await count(answers, collection)
    await Collection.get_pymongo_collection().delete_one({"_id": collection.id})

    assert (await count(answers, collection)).status is BYPASS


async def test_what_another_namespace_holds_is_refused_though_it_is_found(
    stores: Stores, answers: Answers, collection: Collection
) -> None:
    foreign = make_document(make_block(make_batch(new_id("ns"))))
    form: Form[Document | None] = Form(
        "one",
        lambda _: {"row": foreign.to_mongo()},
        lambda row: read_document(answers.scope, row["row"]),
    )
    read = await answers.collections([collection.id])

    async def nothing() -> None:
        return None

    found = [await answers.recall(form, "one", read, nothing) for _ in range(2)]

    assert [(one.value, one.status) for one in found] == [(None, MISS), (None, MISS)]


async def test_each_scope_drops_what_it_holds(
    stores: Stores, namespace: NamespaceOfTest, answers: Answers, collection: Collection
) -> None:
    other = make_collection(make_bucket(namespace.id))
    await insert(other)

    async def there() -> list[bool]:
        found = [await count(answers, one) for one in (collection, other)]
        return [one.status is HIT for one in found]

    await there()
    assert await there() == [True, True]
    drop = partial(drop_answers, stores.answers, namespace.id)
    assert await drop(CacheScope.COLLECTION, collection.id) == 1
    assert await there() == [False, True]
    assert await drop(CacheScope.NAMESPACE) == 2
    assert await there() == [False, False]
    keys = stores.bus.redis.scan_iter(f"{stores.bus.answers_key(namespace.id)}:*", count=1000)
    (digest, *_) = [name async for key in keys if len(name := key.rpartition(":")[2]) == 64]
    assert await drop(CacheScope.KEY, digest) == 1
    assert sorted(await there()) == [False, True]
    counts = await stores.answers.read_counts(namespace.id)
    assert (counts.hits, counts.misses, counts.dropped) == (4, 6, 4)
    assert counts.hit_rate == 0.4
    assert counts.dropped_at is not None


async def test_a_namespace_keeps_so_many_answers_and_none_for_ever(
    stores: Stores, namespace: NamespaceOfTest, answers: Answers, collection: Collection
) -> None:
    few = limited(stores, answers, per_namespace=3, ttl_seconds=30)

    for question in range(8):
        await count(few, collection, question)

    start = stores.bus.answers_key(namespace.id)
    keys = [key async for key in stores.bus.redis.scan_iter(f"{start}*", count=1000)]
    assert (await few.cache.read_counts(namespace.id)).answers == 3
    assert len([key for key in keys if len(key.rpartition(":")[2]) == 64]) == 3
    lives = [await stores.bus.redis.ttl(key) for key in keys if not key.endswith(":counts")]
    assert all(0 < seconds <= 30 for seconds in lives)


async def test_a_large_answer_is_not_kept(
    stores: Stores, answers: Answers, collection: Collection
) -> None:
    small = limited(stores, answers, max_bytes=10)

    assert [(await count(small, collection)).status for _ in range(2)] == [MISS, MISS]


async def test_without_redis_every_answer_is_computed(
    answers: Answers, collection: Collection
) -> None:
    bus = Bus(RedisSettings(url="redis://127.0.0.1:1/0"))
    alone = replace(answers, cache=AnswerCache(bus, AnswerSettings()))
    try:
        found = [await count(alone, collection) for _ in range(2)]
        dropped = await drop_answers(alone.cache, answers.scope.namespace_id, CacheScope.NAMESPACE)
    finally:
        await bus.close()

    assert [(one.value, one.status) for one in found] == [(0, BYPASS), (0, BYPASS)]
    assert dropped == 0


async def test_what_cannot_be_read_is_computed_again(
    stores: Stores, namespace: NamespaceOfTest, answers: Answers, collection: Collection
) -> None:
    await count(answers, collection)
    start = stores.bus.answers_key(namespace.id)
    async for key in stores.bus.redis.scan_iter(f"{start}:*", count=1000):
        if len(key.rpartition(":")[2]) == 64:
            await stores.bus.redis.set(key, "bm9uc2Vuc2U=", keepttl=True)

    found = await count(answers, collection)

    assert (found.value, found.status) == (0, MISS)


async def test_a_collection_is_dropped_once_however_often_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = StubBroker(middleware=[])
    monkeypatch.setattr(cache_drops, "_PAUSE_SECONDS", 0.01)

    @dramatiq.actor(actor_name="cache.drop", queue_name="caches", broker=broker)
    def drop(namespace_id: str, scope: str, name: str) -> None: ...

    drops = CacheDrops(broker)
    for _ in range(50):
        drops.drop("ns_1", "col_1")
        drops.drop("ns_1", "col_2")
    assert drops._sending is not None
    await drops._sending

    queued = broker.queues["caches"]
    sent = [dramatiq.Message.decode(queued.get_nowait()).args for _ in range(queued.qsize())]
    assert sent == [("ns_1", "collection", "col_1"), ("ns_1", "collection", "col_2")]
