from typing import Any

import pytest

from models.batch import Batch
from models.bucket import Bucket
from models.errors import NotFound
from models.ids import new_id
from models.object import Object
from models.scope import Page, Scope
from models.stores import Stores
from models.task import Task
from tests.factories import make_batch, make_bucket, make_object, make_task, store
from tests.fixtures.stores import NamespaceOfTest


@pytest.fixture
async def foreign(stores: Stores) -> Bucket:
    """A bucket of somebody else."""
    bucket = make_bucket(new_id("ns"))
    await store(bucket)
    return bucket


@pytest.fixture
async def buckets(stores: Stores, namespace: NamespaceOfTest) -> list[Bucket]:
    """Seven buckets of ours, in order of their ids, between those of others."""
    made = [make_bucket(namespace.id, id=f"bkt_{n}_{namespace.id}") for n in range(7)]
    others = [make_bucket(new_id("ns"), id=f"bkt_{n}_{namespace.id}x") for n in range(7)]
    await store(*made, *others)
    return made


def ids(items: list[Any]) -> list[str]:
    return [item.id for item in items]


async def test_every_way_of_reading_is_blind_to_other_namespaces(
    namespace: NamespaceOfTest, foreign: Bucket
) -> None:
    mine = make_bucket(namespace.id)
    await store(mine)
    scope = namespace.scope

    assert await scope.find(Bucket, foreign.id) is None
    assert list(await scope.find_many(Bucket, [mine.id, foreign.id])) == [mine.id]
    assert ids(await scope.all(Bucket)) == [mine.id]
    assert ids(await scope.all(Bucket, {"name": foreign.name})) == []
    assert await scope.count(Bucket) == 1
    assert await scope.count(Bucket, {"name": foreign.name}) == 0
    assert ids((await scope.page(Bucket, limit=10)).items) == [mine.id]
    assert ids((await scope.page(Bucket, {"name": foreign.name}, limit=10)).items) == []


async def test_a_filter_cannot_open_another_namespace(
    namespace: NamespaceOfTest, foreign: Bucket
) -> None:
    match = {"namespace_id": foreign.namespace_id}

    assert await namespace.scope.all(Bucket, match) == []
    assert await namespace.scope.count(Bucket, match) == 0
    assert (await namespace.scope.page(Bucket, match, limit=10)).items == []


async def test_unknown_and_foreign_ids_read_the_same(
    namespace: NamespaceOfTest, foreign: Bucket
) -> None:
    unknown = new_id("bkt")
    messages = []
    for item_id in (unknown, foreign.id):
        with pytest.raises(NotFound) as refused:
            await namespace.scope.require(Bucket, item_id, path=("bucketId",))
        assert (refused.value.path, refused.value.hint) == (("bucketId",), "")
        messages.append(refused.value.message.replace(item_id, "<id>"))

    assert messages[0] == messages[1]


async def test_an_id_of_another_kind_is_unknown(namespace: NamespaceOfTest) -> None:
    batch = make_batch(namespace.id)
    task = make_task(batch)
    await store(batch, task)

    assert await namespace.scope.find(Batch, task.id) is None
    assert await namespace.scope.find(Task, batch.id) is None


@pytest.mark.parametrize("text", ["", "\x00", "btc_\ud800", "{'$ne': null}", "x" * 100_000])
async def test_ids_that_no_store_could_hold_are_unknown(
    namespace: NamespaceOfTest, text: str
) -> None:
    assert await namespace.scope.find(Bucket, text) is None
    assert await namespace.scope.find_many(Bucket, [text]) == {}
    with pytest.raises(NotFound):
        await namespace.scope.require(Bucket, text)


async def test_find_many_answers_each_id_once(
    namespace: NamespaceOfTest, buckets: list[Bucket]
) -> None:
    wanted = [buckets[2].id, buckets[0].id, buckets[2].id, new_id("bkt")]

    found = await namespace.scope.find_many(Bucket, wanted)

    assert sorted(found) == ids([buckets[0], buckets[2]])


async def read_pages(scope: Scope, **order: Any) -> list[Page[Bucket]]:
    """Read forward to the end, three at a time."""
    pages = [await scope.page(Bucket, limit=3, **order)]
    while pages[-1].has_next:
        after = pages[-1].items[-1].id
        pages.append(await scope.page(Bucket, limit=3, after=after, **order))
    return pages


async def test_pages_forward_hold_everything_once_in_order(
    namespace: NamespaceOfTest, buckets: list[Bucket]
) -> None:
    pages = await read_pages(namespace.scope)

    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert [item.id for page in pages for item in page.items] == ids(buckets)
    assert [page.has_previous for page in pages] == [False, True, True]


async def test_newest_first_is_the_same_backwards(
    namespace: NamespaceOfTest, buckets: list[Bucket]
) -> None:
    pages = await read_pages(namespace.scope, newest_first=True)

    assert [item.id for page in pages for item in page.items] == ids(buckets)[::-1]


@pytest.mark.parametrize("newest_first", [False, True])
async def test_pages_backward_hold_everything_once_each_in_list_order(
    namespace: NamespaceOfTest, buckets: list[Bucket], newest_first: bool
) -> None:
    expected = ids(buckets)[::-1] if newest_first else ids(buckets)
    page = await namespace.scope.page(Bucket, limit=3, last=True, newest_first=newest_first)
    found = ids(page.items)
    assert not page.has_next
    while page.has_previous:
        page = await namespace.scope.page(
            Bucket, limit=3, last=True, before=found[0], newest_first=newest_first
        )
        assert page.has_next
        found = ids(page.items) + found

    assert found == expected


async def test_a_slice_between_two_ids(namespace: NamespaceOfTest, buckets: list[Bucket]) -> None:
    between: dict[str, Any] = {"after": buckets[1].id, "before": buckets[5].id}

    front = await namespace.scope.page(Bucket, limit=2, **between)
    back = await namespace.scope.page(Bucket, limit=2, last=True, **between)

    assert ids(front.items) == ids(buckets[2:4])
    assert front.has_next
    assert ids(back.items) == ids(buckets[3:5])
    assert back.has_previous


async def test_what_is_inserted_between_pages_moves_no_page(
    namespace: NamespaceOfTest, buckets: list[Bucket]
) -> None:
    first = await namespace.scope.page(Bucket, limit=3)
    before = make_bucket(namespace.id, id=f"bkt_0a_{namespace.id}")
    later = make_bucket(namespace.id, id=f"bkt_4a_{namespace.id}")
    await store(before, later)

    second = await namespace.scope.page(Bucket, limit=3, after=first.items[-1].id)
    back = await namespace.scope.page(Bucket, limit=9, last=True, before=second.items[0].id)

    assert ids(second.items) == [buckets[3].id, buckets[4].id, later.id]
    assert ids(back.items) == [buckets[0].id, before.id, buckets[1].id, buckets[2].id]


async def test_a_page_that_ends_exactly_at_the_end_says_so(
    namespace: NamespaceOfTest, buckets: list[Bucket]
) -> None:
    assert not (await namespace.scope.page(Bucket, limit=7)).has_next
    assert (await namespace.scope.page(Bucket, limit=6)).has_next
    assert (await namespace.scope.page(Bucket, limit=0)).items == []


async def test_bounds_narrow_a_filter_on_ids_and_do_not_replace_it(
    namespace: NamespaceOfTest, buckets: list[Bucket]
) -> None:
    odd = {"_id": {"$in": ids(buckets[1::2])}}

    page = await namespace.scope.page(Bucket, odd, limit=9, after=buckets[1].id)

    assert ids(page.items) == [buckets[3].id, buckets[5].id]


async def test_s12_fields_that_a_later_release_added_do_not_disturb(
    namespace: NamespaceOfTest,
) -> None:
    item = make_object(make_bucket(namespace.id))
    row = {**item.to_mongo(), "from_the_future": {"a": 1}}
    await Object.get_pymongo_collection().insert_one(row)

    found = await namespace.scope.require(Object, item.id)

    assert found.to_mongo() == item.to_mongo()
