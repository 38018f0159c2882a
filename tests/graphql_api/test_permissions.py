"""Who may see what: no key, bad, revoked and expired keys, the admin key, foreign namespaces."""

import asyncio
import json
import time
from datetime import timedelta
from typing import Any

import pytest

from models.api_key import ApiKey, issue_key
from models.object import Object
from models.settings import Settings
from models.stored import now
from models.stores import Stores
from tests.factories import (
    make_batch,
    make_block,
    make_bucket,
    make_collection,
    make_document,
    make_object,
    make_task,
    store,
)
from tests.fixtures.api import RunningApi
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import run_batch
from workers.namespaces import open_namespace

EVENTS = "subscription($id: ID!) { batchEvents(batchId: $id) { sequence cursor } }"
PAGE = "{ edges { cursor node { id } } totalCount }"
ERRORS = "{ userErrors { code message path } }"
QUERIES = {
    "namespace": "{ namespace { id } }",
    "bucket": "query($id: ID!) { bucket(id: $id) { id } }",
    "object": "query($id: ID!) { object(id: $id) { id } }",
    "collection": "query($id: ID!) { collection(id: $id) { id } }",
    "batch": "query($id: ID!) { batch(id: $id) { id } }",
    "task": "query($id: ID!) { task(id: $id) { id } }",
    "document": "query($id: ID!) { document(id: $id) { id } }",
    "buckets": f"{{ buckets {PAGE} }}",
    "collections": f"{{ collections {PAGE} }}",
    "batches": f"{{ batches {PAGE} }}",
    "objects": f"query($id: ID!) {{ objects(bucketId: $id) {PAGE} }}",
    "documents": f"query($id: ID!) {{ documents(collectionId: $id) {PAGE} }}",
    "extractors": "{ extractors { name } }",
    "planBatch": f"query($id: ID!) {{ planBatch(batchId: $id) {ERRORS} }}",
    "searchDocuments": "query($id: ID!) { searchDocuments(collectionId: $id, query: "
    f"{{vector: [1]}}) {ERRORS} }}",
}
TEXT = '{name: "n", source: {bucketId: $id}, extractor: {name: "passthrough"}}'
UPSTREAM = '{name: "n", source: {collectionIds: [$id]}, extractor: {name: "passthrough"}}'
MUTATIONS = {
    "createBucket": f'mutation {{ createBucket(input: {{name: "n"}}) {ERRORS} }}',
    "createObjects": "mutation($id: ID!) { createObjects(input: {bucketId: $id, objects: [{}]}) "
    f"{ERRORS} }}",
    "createCollection": f"mutation($id: ID!) {{ createCollection(input: {TEXT}) {ERRORS} }}",
    "createCollection upstream": "mutation($id: ID!) { "
    f"createCollection(input: {UPSTREAM}) {ERRORS} }}",
    "createBatch": f"mutation($id: ID!) {{ createBatch(input: {{bucketId: $id}}) {ERRORS} }}",
    "addObjectsToBatch": "mutation($id: ID!) { addObjectsToBatch(input: {batchId: $id, "
    f'objectIds: ["obj_a"]}}) {ERRORS} }}',
    "submitBatch": f"mutation($id: ID!) {{ submitBatch(input: {{batchId: $id}}) {ERRORS} }}",
    "cancelBatch": f"mutation($id: ID!) {{ cancelBatch(input: {{batchId: $id}}) {ERRORS} }}",
    "retryBatch": f"mutation($id: ID!) {{ retryBatch(input: {{batchId: $id}}) {ERRORS} }}",
    "deleteBatch": f"mutation($id: ID!) {{ deleteBatch(input: {{batchId: $id}}) {ERRORS} }}",
}
OPERATIONS = {**QUERIES, **MUTATIONS}


def variables(query: str, value: str) -> dict[str, Any]:
    return {"id": value} if "$id" in query else {}


async def code_of(api: RunningApi, key: str | None, query: str) -> str:
    """Return the code of a refusal, whether it came before or after the operation began."""
    body = {"query": query, "variables": variables(query, "any")}
    response = await api.post(body, key)
    code: str = response.json()["errors"][0]["extensions"]["code"]
    assert response.json().get("data") is None or set(response.json()["data"].values()) == {None}
    return code


@pytest.mark.parametrize("query", OPERATIONS.values(), ids=OPERATIONS)
async def test_everything_needs_a_key_of_a_namespace(
    api: RunningApi, settings: Settings, query: str
) -> None:
    assert settings.admin_key is not None
    admin_key = settings.admin_key.get_secret_value()

    assert await code_of(api, None, query) == "UNAUTHENTICATED"
    assert await code_of(api, "strata_key_nobody", query) == "UNAUTHENTICATED"
    assert await code_of(api, admin_key, query) == "FORBIDDEN"


async def test_a_bad_key_is_answered_with_401(api: RunningApi, namespace: NamespaceOfTest) -> None:
    last = "a" if namespace.api_key[-1] != "a" else "b"
    for header in (
        "Bearer strata_key_nobody", "Bearer", f"Basic {namespace.api_key}",
        namespace.api_key, f"Bearer {namespace.api_key[:-1]}{last}", "Bearer \xe9",
    ):  # fmt: skip
        response = await api.client.post(
            api.endpoint,
            json={"query": "{ namespace { id } }"},
            headers={b"authorization": header.encode("latin-1")},
        )
        assert response.status_code == 401, header
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_only_the_admin_key_opens_namespaces(
    api: RunningApi, settings: Settings, namespace: NamespaceOfTest
) -> None:
    query = 'mutation { createNamespace(input: {name: "never made"}) { namespace { id } } }'

    assert await code_of(api, None, query) == "UNAUTHENTICATED"
    assert await code_of(api, namespace.api_key, query) == "FORBIDDEN"


async def test_a_namespace_is_opened_with_a_key_that_works(
    api: RunningApi, settings: Settings, namespace: NamespaceOfTest
) -> None:
    assert settings.admin_key is not None
    admin = api.caller(settings.admin_key.get_secret_value())
    query = """mutation($name: String!) { createNamespace(input: {name: $name}) {
      namespace { id name } apiKey userErrors { code path } } }"""
    name = f"of {namespace.id}"

    made = (await admin.data(query, name=name))["createNamespace"]
    again = (await admin.data(query, name=name))["createNamespace"]
    empty = (await admin.data(query, name=" "))["createNamespace"]

    seen = await api.caller(made["apiKey"]).data("{ namespace { id name } }")
    assert seen["namespace"] == made["namespace"] == {"id": made["namespace"]["id"], "name": name}
    assert again["userErrors"] == [{"code": "NAME_TAKEN", "path": ["name"]}]
    assert empty["userErrors"] == [{"code": "INVALID_INPUT", "path": ["name"]}]
    assert again["apiKey"] is None


@pytest.fixture
async def foreign(stores: Stores) -> dict[str, str]:
    """Ids of one thing of every kind, in a namespace of somebody else."""
    opened, _ = await open_namespace(stores, f"foreign {time.time_ns()}")
    bucket = make_bucket(opened.id)
    collection = make_collection(bucket)
    batch = make_batch(opened.id, bucket_id=bucket.id)
    task = make_task(batch, status="COMPLETED")
    document = make_document(make_block(batch, collection_id=collection.id))
    item = make_object(bucket)
    await store(bucket, item, collection, batch, task, document)
    await stores.bus.mirror_task(task.id, task.model_dump_json(by_alias=True))
    ids = {
        "bucket": bucket.id, "object": item.id, "collection": collection.id, "batch": batch.id,
        "task": task.id, "document": document.id,
    }  # fmt: skip
    by_bucket = ("objects", "createObjects", "createCollection", "createBatch")
    by_collection = ("documents", "searchDocuments", "createCollection upstream")
    return {
        **dict.fromkeys(OPERATIONS, batch.id),
        **dict.fromkeys(by_bucket, bucket.id),
        **dict.fromkeys(by_collection, collection.id),
        **ids,
    }


@pytest.mark.parametrize("name", [name for name, query in OPERATIONS.items() if "$id" in query])
async def test_what_is_foreign_looks_as_if_it_were_absent(
    caller: GraphQL, foreign: dict[str, str], name: str
) -> None:
    there, nowhere = foreign[name], f"{foreign[name][:-4]}ZZZZ"

    answers = []
    for wanted in (there, nowhere):
        answer = await caller.answer(OPERATIONS[name], id=wanted)
        del answer["extensions"]["cost"]["remaining"]
        answers.append(json.dumps(answer).replace(wanted, "ID"))

    assert answers[0] == answers[1]
    assert "errors" not in json.loads(answers[0])


async def test_nothing_foreign_is_listed_or_counted(
    caller: GraphQL, foreign: dict[str, str]
) -> None:
    for name in ("buckets", "collections", "batches"):
        assert (await caller.data(QUERIES[name]))[name] == {"edges": [], "totalCount": 0}


async def test_a_foreign_batch_cannot_be_followed(
    api: RunningApi, namespace: NamespaceOfTest, foreign: dict[str, str]
) -> None:
    async with api.open_socket(namespace.api_key) as socket:
        messages = []
        for wanted in (foreign["batch"], "btc_nowhere"):
            await socket.subscribe(EVENTS, {"id": wanted})
            message = await socket.receive()
            for error in message["payload"]:
                del error["extensions"]["requestId"]
            messages.append(json.dumps(message).replace(wanted, "ID"))

    assert messages[0] == messages[1]
    assert '"NOT_FOUND"' in messages[0]


async def test_a_foreign_object_cannot_be_put_into_a_batch(
    caller: GraphQL, namespace: NamespaceOfTest, foreign: dict[str, str]
) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket)
    create = """mutation($id: ID!, $objects: [ID!]) {
      createBatch(input: {bucketId: $id, objectIds: $objects}) { userErrors { code path } } }"""

    made = await caller.data(create, id=bucket.id, objects=[foreign["object"]])

    assert made["createBatch"]["userErrors"] == [
        {"code": "INVALID_INPUT", "path": ["objectIds", "0"]}
    ]
    assert (await caller.data("{ batches { totalCount } }"))["batches"]["totalCount"] == 0


async def test_a_cursor_of_another_namespace_is_refused(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    """Same list, same ids: only the namespace differs."""
    found, key = await open_namespace(stores, f"other {namespace.id}")
    for owner in (namespace.id, found.id):
        await store(*(make_bucket(owner) for _ in range(2)))
    own, other = api.caller(namespace.api_key), api.caller(key)
    query = "query($after: String) { buckets(first: 1, after: $after) { pageInfo { endCursor } } }"
    cursor = (await other.data(query))["buckets"]["pageInfo"]["endCursor"]

    answer = await own.answer(query, after=cursor)

    assert answer["errors"][0]["extensions"]["reason"] == "INVALID_CURSOR"
    assert (await other.data(query, after=cursor))["buckets"]["pageInfo"]["endCursor"]


async def revoke(key_id: str, **values: Any) -> None:
    rows = ApiKey.get_pymongo_collection()
    await rows.update_one({"_id": key_id}, {"$set": values or {"revoked_at": now()}})


async def test_a_revoked_key_is_refused_everywhere_within_five_seconds(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    """By HTTP, for new operations of an open socket, and for a subscription that runs."""
    key, secret = issue_key(namespace.id, name="second")
    await store(key)
    batch = await run_batch(namespace)
    caller = api.caller(secret)
    async with api.open_socket(secret) as socket:
        await socket.subscribe(EVENTS, {"id": batch.id}, id="running")
        await socket.next()
        await caller.data("{ namespace { id } }")
        await revoke(key.id)
        revoked = time.monotonic()

        async with asyncio.timeout(5):
            while "data" in await caller.answer("{ namespace { id } }"):
                await asyncio.sleep(0.1)
        await socket.subscribe("{ namespace { id } }", id="new")
        refused = [await socket.receive(8), await socket.receive(8)]

    assert time.monotonic() - revoked < 10
    assert {message["id"] for message in refused} == {"new", "running"}
    for message in refused:
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_an_expired_key_is_refused(api: RunningApi, namespace: NamespaceOfTest) -> None:
    key, secret = issue_key(namespace.id, name="second")
    key.expires_at = now() - timedelta(seconds=1)
    await store(key)

    assert await code_of(api, secret, "{ namespace { id } }") == "UNAUTHENTICATED"


async def test_a_key_is_kept_as_a_hash_and_never_logged(
    api: RunningApi, namespace: NamespaceOfTest, caplog: pytest.LogCaptureFixture
) -> None:
    secret = namespace.api_key.rpartition("_")[2]
    with caplog.at_level("DEBUG"):
        await api.caller(namespace.api_key).answer("{ namespace { id } nonsense }")

    rows = [row async for row in ApiKey.get_pymongo_collection().find({})]
    assert namespace.id in str(rows)
    assert secret not in str(rows)
    assert secret[:-6] not in caplog.text
    assert await Object.get_pymongo_collection().count_documents({"namespace_id": None}) == 0
