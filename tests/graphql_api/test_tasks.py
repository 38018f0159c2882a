"""Tasks over the API: deletions as tasks, the list and the subscription."""

from typing import Any

import pytest

from graphql_api.tasks import following
from models.bucket import Bucket
from models.states import BatchStatus
from models.stores import Stores
from tests.factories import (
    make_batch,
    make_bucket,
    make_collection,
    make_object,
    make_task,
    store,
)
from tests.fixtures.api import RunningApi
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.calls import ERRORS, call, codes
from workers.tasks import run_task
from workers.transitions import move_batch

DELETE_BUCKET = f"""mutation($id: ID!, $force: Boolean) {{
  deleteBucket(input: {{id: $id, force: $force}}) {{
    task {{ id type status subjectId batchId progress {{ step done total }} }} {ERRORS} }} }}"""
DELETE_COLLECTION = f"""mutation($id: ID!) {{
  deleteCollection(input: {{id: $id}}) {{ task {{ id type subjectId }} {ERRORS} }} }}"""
TASKS = """query($filter: TaskFilter, $after: String) {
  tasks(filter: $filter, first: 2, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { id type status subjectId } } } }"""
FOLLOW = "subscription($id: ID!) { taskUpdated(id: $id) { id status sequence progress { done } } }"


async def test_a_bucket_is_deleted_as_a_task(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket, make_object(bucket), make_object(bucket))

    made = await call(caller, DELETE_BUCKET, id=bucket.id, force=False)
    query = "query($id: ID!) { bucket(id: $id) { lifecycle deletionTaskId } }"
    marked = await call(caller, query, id=bucket.id)
    await run_task(stores, made["task"]["id"])

    task = made["task"]
    assert made["userErrors"] == []
    assert (task["type"], task["status"], task["batchId"]) == ("BUCKET_DELETE", "QUEUED", None)
    assert task["subjectId"] == bucket.id
    assert marked == {"lifecycle": "DELETING", "deletionTaskId": task["id"]}
    assert await namespace.scope.find(Bucket, bucket.id) is None


async def test_what_is_in_use_is_refused(caller: GraphQL, namespace: NamespaceOfTest) -> None:
    bucket = make_bucket(namespace.id)
    upstream = make_collection(bucket)
    batch = make_batch(namespace.id, bucket_id=bucket.id, status="QUEUED")
    await store(bucket, upstream, make_collection([upstream]), batch)

    refused = await call(caller, DELETE_BUCKET, id=bucket.id, force=False)
    read = await call(caller, DELETE_COLLECTION, id=upstream.id)
    unknown = await call(caller, DELETE_COLLECTION, id="col_nowhere")

    assert (refused["task"], codes(refused)) == (None, [("IN_USE", ["id"])])
    assert (read["task"], codes(read)) == (None, [("IN_USE", ["id"])])
    assert codes(unknown) == [("NOT_FOUND", ["id"])]


async def test_tasks_are_listed_newest_first_by_type_and_status(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id)
    tasks = [make_task(batch, status=status) for status in ("QUEUED", "FAILED", "QUEUED")]
    await store(*tasks, make_task(make_batch("ns_other")))

    first = await call(caller, TASKS)
    rest = await call(caller, TASKS, after=first["pageInfo"]["endCursor"])
    failed = await call(caller, TASKS, filter={"status": ["FAILED"], "batchId": batch.id})
    none = await call(caller, TASKS, filter={"type": ["BUCKET_DELETE"]})

    found = [edge["node"]["id"] for page in (first, rest) for edge in page["edges"]]
    assert found == sorted((task.id for task in tasks), reverse=True)
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (3, True)
    assert [edge["node"]["id"] for edge in failed["edges"]] == [tasks[1].id]
    assert (none["totalCount"], none["edges"]) == (0, [])


async def test_a_task_is_followed_to_its_end(
    api: RunningApi, caller: GraphQL, stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket, make_object(bucket))
    task_id = (await call(caller, DELETE_BUCKET, id=bucket.id))["task"]["id"]
    seen: list[dict[str, Any]] = []

    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(FOLLOW, {"id": task_id})
        seen.append(await socket.next())
        await run_task(stores, task_id)
        while seen[-1]["status"] != "COMPLETED":
            seen.append(await socket.next())
        assert (await socket.receive())["type"] == "complete"

    assert seen[0]["status"] == "QUEUED"
    sequences = [task["sequence"] for task in seen]
    assert sequences == sorted(set(sequences))


async def test_a_task_of_a_batch_follows_the_batch(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_LOOK_SECONDS", 600)
    batch = make_batch(namespace.id, status="CANCELING")
    task = make_task(batch)
    await store(batch, task)

    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(FOLLOW, {"id": task.id})
        first = await socket.next()
        await move_batch(stores, batch.id, BatchStatus.CANCELED)
        last = await socket.next()  # woken by the batch, not by a look
        assert (await socket.receive())["type"] == "complete"

    assert (first["status"], last["status"]) == ("CANCELING", "CANCELED")


@pytest.mark.parametrize("task_id", ["tsk_nowhere", ""])
async def test_a_task_that_is_not_there_cannot_be_followed(
    api: RunningApi, namespace: NamespaceOfTest, task_id: str
) -> None:
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(FOLLOW, {"id": task_id})
        message = await socket.receive()

    (error,) = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
    assert error["extensions"]["reason"] == "NOT_FOUND"
