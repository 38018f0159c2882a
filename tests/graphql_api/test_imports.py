"""Imports over the API: begun once for a key, watched, their errors paged, canceled."""

import hashlib
from typing import Any

import httpx

from models.object import Object
from models.stores import Stores
from tests.factories import make_bucket, store
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.calls import ERRORS, call, codes
from workers.tasks import run_task
from workers.uploads import UploadDraft, confirm_upload, request_upload

IMPORT = f"""mutation($input: ImportObjectsInput!) {{ importObjects(input: $input) {{
  replayed task {{ id type status subjectId importCounts {{ lines }} }} {ERRORS} }} }}"""
CANCEL = f"mutation($id: ID!) {{ cancelTask(input: {{id: $id}}) {{ task {{ status }} {ERRORS} }} }}"
TASK = """query($id: ID!, $after: String) { task(id: $id) { status errorMessage
  progress { step done total } importCounts { lines created updated unchanged rejected }
  lineErrors(first: 2, after: $after) { totalCount pageInfo { hasNextPage endCursor }
    edges { node { id line code path message rejected } } } } }"""


async def send(stores: Stores, namespace: NamespaceOfTest, bucket_id: str, body: bytes) -> str:
    draft = UploadDraft("rows", "application/x-ndjson", len(body), hashlib.sha256(body).hexdigest())
    link = await request_upload(stores, namespace.scope, bucket_id, draft)
    async with httpx.AsyncClient(timeout=30) as client:
        await client.put(link.url, content=body, headers=link.headers)
    await confirm_upload(stores, namespace.scope, link.upload.id)
    return link.upload.id


async def test_a_file_is_imported_once_for_its_key(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket)
    body = b'{"key": "a"}\n{"key": 1}\nnot json\n{"tags": "x"}\n'
    upload_id = await send(stores, namespace, bucket.id, body)
    asked: dict[str, Any] = {
        "bucketId": bucket.id, "uploadId": upload_id, "idempotencyKey": "once",
    }  # fmt: skip

    first = await call(caller, IMPORT, input=asked)
    again = await call(caller, IMPORT, input=asked)
    task_id = first["task"]["id"]
    await run_task(stores, task_id)
    page = await call(caller, TASK, id=task_id)
    rest = await call(caller, TASK, id=task_id, after=page["lineErrors"]["pageInfo"]["endCursor"])
    canceled = await call(caller, CANCEL, id=task_id)
    other = await call(caller, IMPORT, input={**asked, "idempotencyKey": "another"})

    assert (first["replayed"], again["replayed"]) == (False, True)
    assert again["task"]["id"] == task_id
    assert (first["task"]["type"], first["task"]["subjectId"]) == ("OBJECTS_IMPORT", bucket.id)
    assert first["task"]["importCounts"] == {"lines": 0}
    assert page["status"] == "COMPLETED_WITH_ERRORS"
    assert page["importCounts"] == {
        "lines": 4, "created": 1, "updated": 0, "unchanged": 0, "rejected": 3,
    }  # fmt: skip
    assert page["progress"] == {"step": "objects", "done": len(body), "total": len(body)}
    shown = [edge["node"] for one in (page, rest) for edge in one["lineErrors"]["edges"]]
    assert [(one["line"], one["code"], one["path"]) for one in shown] == [
        (2, "INVALID_INPUT", ["key"]),
        (3, "INVALID_INPUT", []),
        (4, "INVALID_INPUT", ["tags"]),
    ]
    assert (page["lineErrors"]["totalCount"], rest["lineErrors"]["pageInfo"]["hasNextPage"]) == (
        3,
        False,
    )
    node = "query($id: ID!) { node(id: $id) { ... on LineError { line } } }"
    assert await call(caller, node, id=shown[0]["id"]) == {"line": 2}
    assert canceled["task"]["status"] == "COMPLETED_WITH_ERRORS"
    assert codes(other) == [("CONFLICT", ["uploadId"])]
    assert await namespace.scope.count(Object) == 1


async def test_an_import_that_waits_is_canceled(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest, other_caller: GraphQL
) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket)
    upload_id = await send(stores, namespace, bucket.id, b'{"key": "a"}')
    asked = {"bucketId": bucket.id, "uploadId": upload_id}
    begun = await call(caller, IMPORT, input=asked)

    foreign = await call(other_caller, CANCEL, id=begun["task"]["id"])
    canceled = await call(caller, CANCEL, id=begun["task"]["id"])
    await run_task(stores, begun["task"]["id"])

    assert codes(foreign) == [("NOT_FOUND", ["id"])]
    assert canceled["task"]["status"] == "CANCELED"
    assert await namespace.scope.count(Object) == 0
