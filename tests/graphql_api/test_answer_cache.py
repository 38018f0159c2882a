"""The cache as clients see it: what answers say of it, how to do without, who gets which answer."""

from typing import Any

import httpx
import pytest

from engine.catalog import CATALOG
from engine.inline_pool import InlinePools
from models.bucket import Bucket
from models.collection import Collection
from models.fields import FieldSpec, FieldType
from models.stores import Stores
from tests.engine.batches import run, submitted, submitted_again, texts_in, words_of
from tests.extractors import EXTRACTORS
from tests.factories import make_bucket
from tests.fixtures.api import RunningApi
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from workers.deletions import delete_collection
from workers.tasks import run_task

SEARCH = """query($id: ID!, $vector: [Float!]!) {
  searchDocuments(collectionId: $id, query: {vector: $vector}) {
    hits { score document { id fields createdAt object { id } } } userErrors { message } } }"""
GROUPED = """query($id: ID!, $document: ID!) {
  searchDocuments(collectionId: $id, query: {documentId: $document}, hitsPerObject: 2) {
    groups { objectId score hits { document { id } } } userErrors { message } } }"""
ORDERED = """query($id: ID!, $after: String) {
  documents(collectionId: $id, first: 2, after: $after, orderBy: {field: "word"}) {
    totalCount pageInfo { hasNextPage endCursor } edges { cursor node { id fields } } } }"""
FACETS = """query($id: ID!) {
  documentFacets(collectionId: $id, field: "word") { value count } }"""
COUNTS = "{ answerCache { hits misses hitRate answers dropped droppedAt } }"
WORDS = ["ash", "birch", "cedar"]
VECTOR = [1.0, 0.0, 0.0, 0.0]


@pytest.fixture(autouse=True)
def test_extractors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the catalogue of this process know the test extractors."""
    for label, path in EXTRACTORS.items():
        monkeypatch.setitem(CATALOG, label, path)


@pytest.fixture
def bucket(namespace: NamespaceOfTest) -> Bucket:
    """A bucket that is not stored yet."""
    return make_bucket(namespace.id)


@pytest.fixture
async def collection(stores: Stores, bucket: Bucket) -> Collection:
    """A collection that a batch has filled."""
    made = words_of(bucket, output_fields=[FieldSpec(name="word", type=FieldType.STRING)])
    pools = InlinePools(stores.settings.cache)
    await run(stores, await submitted(stores, bucket, texts_in(bucket, WORDS), made), pools)
    return made


def cache(answer: dict[str, Any]) -> dict[str, Any]:
    assert "errors" not in answer, answer
    found: dict[str, Any] = answer["extensions"]["cache"]
    return found


async def test_each_kind_of_answer_is_given_again_as_it_was(
    caller: GraphQL, collection: Collection
) -> None:
    listed = await caller.data(ORDERED, id=collection.id)
    document = listed["documents"]["edges"][0]["node"]["id"]
    after = listed["documents"]["pageInfo"]["endCursor"]
    asked: list[tuple[str, dict[str, Any]]] = [
        (SEARCH, {"vector": VECTOR}),
        (GROUPED, {"document": document}),
        (ORDERED, {"after": after}),
        (FACETS, {}),
    ]
    for query, variables in asked:
        first = await caller.answer(query, id=collection.id, **variables)
        again = await caller.answer(query, id=collection.id, **variables)

        assert first["data"] == again["data"]
        assert (cache(first)["status"], cache(again)["status"]) == ("MISS", "HIT")
        assert cache(again)["ageSeconds"] >= 0
    (counts,) = (await caller.data(COUNTS)).values()
    assert counts["hitRate"] == counts["hits"] / (counts["hits"] + counts["misses"])
    assert counts["hits"] == 6  # the ordered list's count is an answer of its own, twice


async def test_a_committed_block_is_seen_by_the_next_search(
    caller: GraphQL, stores: Stores, bucket: Bucket, collection: Collection
) -> None:
    before = [await caller.answer(SEARCH, id=collection.id, vector=VECTOR) for _ in range(2)]
    more = texts_in(bucket, ["dogwood"])
    await run_again(stores, bucket, more)
    after = await caller.answer(SEARCH, id=collection.id, vector=VECTOR)

    assert [cache(one)["status"] for one in (*before, after)] == ["MISS", "HIT", "MISS"]
    assert words(before[1]) == WORDS
    assert words(after) == [*WORDS, "dogwood"]
    (field,) = cache(after)["fields"]
    assert field["path"] == ["searchDocuments"]
    assert field["signature"] == (await current(collection)).index_signature


async def test_a_client_may_do_without(
    api: RunningApi, namespace: NamespaceOfTest, caller: GraphQL, collection: Collection
) -> None:
    variables = {"id": collection.id, "vector": VECTOR}
    await caller.data(SEARCH, **variables)
    headers = {"Authorization": f"Bearer {namespace.api_key}"}
    body = {"query": SEARCH, "variables": variables}

    async def send(**more: Any) -> str:
        sent: httpx.Response = await api.client.post(api.endpoint, **more)
        return str(cache(sent.json())["status"])

    by_body = await send(json={**body, "extensions": {"cache": False}}, headers=headers)
    by_header = await send(json=body, headers={**headers, "Cache-Control": "no-cache"})
    async with api.open_socket(namespace.api_key) as socket:
        extensions = {"cache": False}
        payload = {"query": SEARCH, "variables": variables, "extensions": extensions}
        await socket.send({"type": "subscribe", "id": "1", "payload": payload})
        by_socket = cache((await socket.receive())["payload"])["status"]

    assert (by_body, by_header, by_socket) == ("BYPASS", "BYPASS", "BYPASS")
    assert await send(json=body, headers=headers) == "HIT"


async def test_strangers_are_refused_before_the_cache_is_asked(
    api: RunningApi, caller: GraphQL, other_caller: GraphQL, collection: Collection
) -> None:
    variables = {"id": collection.id, "vector": VECTOR}
    kept = [await caller.answer(SEARCH, **variables) for _ in range(2)]

    foreign = await other_caller.answer(SEARCH, **variables)
    nobody = (await api.post({"query": SEARCH, "variables": variables})).json()

    assert cache(kept[1])["status"] == "HIT"
    assert foreign["data"]["searchDocuments"]["hits"] == []
    assert foreign["data"]["searchDocuments"]["userErrors"] != []
    assert "cache" not in foreign["extensions"]
    assert nobody["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_deleted_collection_leaves_no_answers(
    stores: Stores, namespace: NamespaceOfTest, caller: GraphQL, collection: Collection
) -> None:
    for _ in range(2):
        await caller.data(FACETS, id=collection.id)
    task = await delete_collection(stores, namespace.scope, collection.id, force=True)
    await run_task(stores, task.id)

    answer = await caller.answer(FACETS, id=collection.id)

    assert answer["errors"][0]["extensions"]["reason"] == "NOT_FOUND"
    (counts,) = (await caller.data(COUNTS)).values()
    assert (counts["answers"], counts["dropped"]) == (0, 1)


async def run_again(stores: Stores, bucket: Bucket, objects: Any) -> None:
    rows = [one.to_mongo() for one in objects]
    await type(objects[0]).get_pymongo_collection().insert_many(rows)
    batch = await submitted_again(stores, bucket, objects)
    await run(stores, batch, InlinePools(stores.settings.cache))


async def current(collection: Collection) -> Collection:
    found = await Collection.get(collection.id)
    assert found is not None
    return found


def words(answer: dict[str, Any]) -> list[str]:
    hits = answer["data"]["searchDocuments"]["hits"]
    return sorted(hit["document"]["fields"]["word"] for hit in hits)
