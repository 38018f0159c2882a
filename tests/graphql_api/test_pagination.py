"""Pages: sizes, directions, cursors that stay where they were, and those that are refused."""

import base64
from collections.abc import Sequence
from typing import Any

import pytest

from graphql_api.pagination import Cursors
from models.batch_member import add_members
from models.bucket import Bucket
from models.errors import ErrorCategory, InvalidCursor
from models.ids import new_id
from models.object import Object
from models.row_error import RowError
from models.stored import Stored
from tests.factories import (
    make_batch,
    make_block,
    make_bucket,
    make_collection,
    make_document,
    make_object,
    store,
)
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest

BUCKETS = """query($first: Int, $after: String, $last: Int, $before: String) {
  buckets(first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
PAGE = "{ edges { node { id } } pageInfo { hasNextPage endCursor } totalCount }"
ALL = "query($first: Int, $after: String)"
LISTS = {
    "buckets": f"{ALL} {{ it: buckets(first: $first, after: $after) {PAGE} }}",
    "batches": f"{ALL} {{ it: batches(first: $first, after: $after) {PAGE} }}",
    "collections": f"{ALL} {{ it: collections(first: $first, after: $after) {PAGE} }}",
    "objects": "query($id: ID!, $first: Int, $after: String) "
    f"{{ it: objects(bucketId: $id, first: $first, after: $after) {PAGE} }}",
    "documents": "query($id: ID!, $first: Int, $after: String) "
    f"{{ it: documents(collectionId: $id, first: $first, after: $after) {PAGE} }}",
    "members": "query($id: ID!, $first: Int!, $after: String) "
    f"{{ batch(id: $id) {{ it: objects(first: $first, after: $after) {PAGE} }} }}",
    "errors": "query($id: ID!, $first: Int, $after: String) "
    f"{{ batch(id: $id) {{ it: rowErrors(first: $first, after: $after) {PAGE} }} }}",
}


def ids(connection: dict[str, Any]) -> list[str]:
    return [edge["node"]["id"] for edge in connection["edges"]]


async def store_buckets(namespace: NamespaceOfTest, count: int) -> list[str]:
    made = [make_bucket(namespace.id) for _ in range(count)]
    await store(*made)
    return sorted(bucket.id for bucket in made)


async def page(caller: GraphQL, **arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await caller.data(BUCKETS, **arguments))["buckets"]
    return found


async def reason(caller: GraphQL, **arguments: Any) -> tuple[str, str]:
    """Return code and reason of a refused page, whose field alone is null."""
    answer = await caller.answer(BUCKETS, **arguments)
    assert answer["data"] == {"buckets": None}
    (error,) = answer["errors"]
    return error["extensions"]["code"], error["extensions"]["reason"]


async def test_both_directions_walk_the_whole_list(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    stored = await store_buckets(namespace, 7)
    forth: list[str] = []
    back: list[str] = []
    after = before = None
    while True:
        found = await page(caller, first=3, after=after)
        forth += ids(found)
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    while True:
        found = await page(caller, last=3, before=before)
        back = ids(found) + back
        before = found["pageInfo"]["startCursor"]
        if not found["pageInfo"]["hasPreviousPage"]:
            break

    assert forth == back == stored


async def test_a_page_says_where_it_stands(caller: GraphQL, namespace: NamespaceOfTest) -> None:
    stored = await store_buckets(namespace, 3)

    first = await page(caller, first=2)
    second = await page(caller, first=2, after=first["pageInfo"]["endCursor"])
    between = await page(
        caller, after=first["edges"][0]["cursor"], before=second["edges"][0]["cursor"]
    )
    nothing = await page(caller, after=second["pageInfo"]["endCursor"])

    assert (first["pageInfo"]["hasPreviousPage"], first["pageInfo"]["hasNextPage"]) == (False, True)
    assert first["pageInfo"]["endCursor"] == first["edges"][-1]["cursor"]
    assert (second["pageInfo"]["hasPreviousPage"], second["pageInfo"]["hasNextPage"]) == (
        True,
        False,
    )
    assert ids(between) == [stored[1]]
    assert nothing["edges"] == []
    assert nothing["pageInfo"]["endCursor"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"first": 0},
        {"first": 101},
        {"first": -1},
        {"last": 0},
        {"last": 101},
        {"first": 1, "last": 1},
    ],
)
async def test_a_size_out_of_range_is_refused(caller: GraphQL, arguments: dict[str, int]) -> None:
    assert await reason(caller, **arguments) == ("BAD_USER_INPUT", "INVALID_INPUT")


async def test_the_largest_page_has_a_hundred_items(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    stored = await store_buckets(namespace, 101)

    assert ids(await page(caller, first=100)) == stored[:100]
    assert ids(await page(caller)) == stored[:20]


def forged(cursor: str) -> Sequence[str]:
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    flipped = bytes([raw[0] ^ 1]) + raw[1:]
    changed = raw[:-1] + b"Z"
    return [
        base64.urlsafe_b64encode(one).decode().rstrip("=") for one in (flipped, changed, raw[:12])
    ]


async def test_a_cursor_that_was_not_issued_for_the_list_is_refused(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    await store_buckets(namespace, 2)
    await store(make_batch(namespace.id))
    genuine = (await page(caller))["edges"][0]["cursor"]
    other = (await caller.data("{ batches { edges { cursor } } }"))["batches"]["edges"][0]["cursor"]
    garbage = ["", "a", "====", "Incorrect padding", "é", "\x00", "x" * 100_000, "bkt_1", "W10="]

    for cursor in [*garbage, other, *forged(genuine)]:
        for argument in ("after", "before"):
            found = await reason(caller, **{argument: cursor})
            assert found == ("BAD_USER_INPUT", "INVALID_CURSOR"), cursor[:50]


async def test_a_cursor_of_another_filter_is_refused(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    await store(make_batch(namespace.id))
    query = """query($filter: BatchFilter, $after: String) {
      batches(filter: $filter, after: $after) { pageInfo { endCursor } } }"""
    found = await caller.data(query, filter={"status": ["DRAFT", "QUEUED"]})
    cursor = found["batches"]["pageInfo"]["endCursor"]

    answer = await caller.answer(query, filter={"status": ["DRAFT"]}, after=cursor)
    same = await caller.answer(query, filter={"status": ["QUEUED", "DRAFT"]}, after=cursor)

    assert answer["errors"][0]["extensions"]["reason"] == "INVALID_CURSOR"
    assert "errors" not in same


async def test_a_cursor_stays_where_it_was_under_inserts_and_deletions(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    """Every item that was there throughout is seen exactly once, whatever comes and goes."""
    stored = await store_buckets(namespace, 20)
    doomed, seen, after = set(stored[::3]), [], None
    rows = Bucket.get_pymongo_collection()
    while True:
        found = await page(caller, first=4, after=after)
        seen += ids(found)
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
        await rows.delete_many({"_id": {"$in": sorted(doomed & set(seen))}})  # the cursor's row too
        early = make_bucket(namespace.id, id=f"bkt_00000000000000000000000{len(seen):03}")
        await store(early, make_bucket(namespace.id))
        if len(seen) > 40:
            break

    assert len(seen) == len(set(seen))
    assert [one for one in seen if one in stored] == stored
    assert not [one for one in seen if one.startswith("bkt_0000000")]


async def store_lists(namespace: NamespaceOfTest) -> dict[str, tuple[str, list[str]]]:
    """Store three of each kind; return per list whose it is and its ids in order."""
    bucket = make_bucket(namespace.id)
    objects = [make_object(bucket) for _ in range(3)]
    collections = [make_collection(bucket) for _ in range(3)]
    batches = [make_batch(namespace.id) for _ in range(3)]
    batch, collection = batches[0], collections[0]
    block = make_block(batch, collection_id=collection.id)
    documents = [make_document(block) for _ in range(3)]
    errors = [row_error(block.to_mongo()) for _ in range(3)]
    buckets = [bucket, make_bucket(namespace.id), make_bucket(namespace.id)]
    kept: list[Stored] = [*buckets, *objects, *collections, *batches, *documents, *errors]
    await store(*kept)
    await add_members(namespace.id, batch.id, [item.id for item in objects])

    def listed(items: Sequence[Stored], *, newest: bool = False) -> list[str]:
        return sorted((item.id for item in items), reverse=newest)

    return {
        "buckets": ("", listed(buckets)),
        "batches": ("", listed(batches, newest=True)),
        "collections": ("", listed(collections)),
        "objects": (bucket.id, listed(objects)),
        "documents": (collection.id, listed(documents)),
        "members": (batch.id, listed(objects)),
        "errors": (batch.id, listed(errors)),
    }


def row_error(block: dict[str, Any]) -> RowError:
    return RowError(
        id=new_id("err"),
        namespace_id=block["namespace_id"],
        batch_id=block["batch_id"],
        collection_id=block["collection_id"],
        block_id=block["_id"],
        category=ErrorCategory.RUNTIME,
        extractor="text@v1",
        message="m",
    )


@pytest.mark.parametrize("name", LISTS)
async def test_every_list_is_paged_the_same_way(
    caller: GraphQL, namespace: NamespaceOfTest, name: str
) -> None:
    owner, expected = (await store_lists(namespace))[name]
    query = LISTS[name]
    of = {"id": owner} if owner else {}
    seen: list[str] = []
    after = None
    for number in range(2):
        data = await caller.data(query, **of, first=2, after=after)
        found = data.get("it") or data["batch"]["it"]
        seen += ids(found)
        after = found["pageInfo"]["endCursor"]
        assert found["totalCount"] == 3
        assert found["pageInfo"]["hasNextPage"] is (number == 0)

    assert seen == expected
    refused = await caller.answer(query, **of, first=101)
    assert refused["errors"][0]["extensions"]["reason"] == "INVALID_INPUT"
    garbage = await caller.answer(query, **of, first=1, after="")
    assert garbage["errors"][0]["extensions"]["reason"] == "INVALID_CURSOR"


async def test_members_that_were_deleted_are_left_out_of_their_page(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    lists = await store_lists(namespace)
    batch_id, members = lists["members"]
    await Object.get_pymongo_collection().delete_many({"_id": {"$in": members[:2]}})
    after, seen = None, []
    for _ in range(3):
        data = await caller.data(LISTS["members"], id=batch_id, first=1, after=after)
        seen += ids(data["batch"]["it"])
        if not data["batch"]["it"]["pageInfo"]["hasNextPage"]:
            break
        after = data["batch"]["it"]["pageInfo"]["endCursor"]

    assert seen == members[2:]


def test_a_cursor_is_bound_to_deployment_list_and_namespace() -> None:
    cursors = Cursors(b"secret")
    cursor = cursors.write("batch:a", "ns_1", "7")

    assert cursors.read("batch:a", "ns_1", cursor) == "7"
    for reader, kind, namespace_id in (
        (Cursors(b"other"), "batch:a", "ns_1"),
        (cursors, "batch:b", "ns_1"),
        (cursors, "batch", "ns_1"),
        (cursors, "batch:", "ns_1"),
        (cursors, "batch:a", "ns_2"),
    ):
        with pytest.raises(InvalidCursor):
            reader.read(kind, namespace_id, cursor)
