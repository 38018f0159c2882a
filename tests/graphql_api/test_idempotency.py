"""Idempotency keys: S31, and each mutation that takes one."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import httpx
import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLObjectType,
    build_schema,
    get_named_type,
)

from graphql_api.idempotency import fingerprint
from graphql_api.schema import schema
from models.batch import Batch
from models.batch_member import count_members
from models.bucket import Bucket
from models.database import Session
from models.errors import IdempotencyInProgress, IdempotencyKeyReused, InvalidInput, NameTaken
from models.events import Event
from models.idempotency import Claim, IdempotentRequest
from models.object import Object
from models.settings import ApiSettings
from models.stored import now
from models.stores import Stores
from models.upload import Upload
from tests.factories import make_bucket, make_collection, make_object, store
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.calls import call, codes
from workers.idempotency import Outcome, Request, once
from workers.intake import open_bucket

CREATE = """mutation($input: CreateBatchInput!) { createBatch(input: $input) {
  replayed batch { id name status } userErrors { code message path } } }"""
ADD = """mutation($input: AddObjectsToBatchInput!) { addObjectsToBatch(input: $input) {
  replayed addedCount batch { id } userErrors { code message path } } }"""
SUBMIT = """mutation($input: SubmitBatchInput!) { submitBatch(input: $input) {
  replayed batch { id } task { id } userErrors { code message path } } }"""
BUCKET = """mutation($input: CreateBucketInput!) { createBucket(input: $input) {
  replayed bucket { id } userErrors { code message path } } }"""
OBJECTS = """mutation($input: CreateObjectsInput!) { createObjects(input: $input) {
  replayed results { index object { id } errors { code message path hint } }
  userErrors { code message path } } }"""
COLLECTION = """mutation($input: CreateCollectionInput!) { createCollection(input: $input) {
  replayed collection { id } userErrors { code message path } } }"""


UPLOAD = """mutation($input: RequestUploadInput!) { requestUpload(input: $input) {
  replayed url headers { name value } upload { id } userErrors { code message path } } }"""
UPDATE = """mutation($input: UpdateObjectsInput!) { updateObjects(input: $input) {
  replayed updatedCount results { object { id tags } } userErrors { code message path } } }"""
DELETE = """mutation($input: DeleteObjectsInput!) { deleteObjects(input: $input) {
  replayed deletedCount results { deletedObjectId } userErrors { code message path } } }"""
REPROCESS = """mutation($input: ReprocessCollectionInput!) { reprocessCollection(input: $input) {
  replayed batch { id } task { id type subjectId } userErrors { code message path } } }"""
# What makes or starts something, and what changes many things at once.
KEYED = (
    "create",
    "add",
    "clone",
    "submit",
    "request",
    "import",
    "reprocess",
    "trigger",
    "rotateApi",
)


def test_every_mutation_that_makes_or_starts_something_takes_a_key() -> None:
    built = build_schema(schema.as_str())
    assert built.mutation_type is not None
    without, keyed = [], 0
    for name, field in built.mutation_type.fields.items():
        payload = get_named_type(field.type)
        given = get_named_type(field.args["input"].type)
        assert isinstance(given, GraphQLInputObjectType)
        assert isinstance(payload, GraphQLObjectType)
        if not name.startswith(KEYED) and not name.endswith("Objects"):
            continue
        keyed += 1
        if "idempotencyKey" not in given.fields or "replayed" not in payload.fields:
            without.append(name)

    assert without == []
    assert keyed >= 16


async def make_input(namespace: NamespaceOfTest) -> dict[str, Any]:
    bucket = make_bucket(namespace.id)
    objects = [make_object(bucket) for _ in range(3)]
    await store(bucket, *objects)
    return {"bucketId": bucket.id, "objectIds": [one.id for one in objects]}


async def test_s31_a_hundred_calls_with_one_key_make_one_batch(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    given = {**await make_input(namespace), "idempotencyKey": "one"}

    answers = await asyncio.gather(*(call(caller, CREATE, input=given) for _ in range(100)))
    again = await call(caller, CREATE, input=given)

    assert [answer["userErrors"] for answer in answers] == [[]] * 100
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 99
    (batch_id,) = {answer["batch"]["id"] for answer in answers}
    assert again == {
        "replayed": True,
        "batch": {"id": batch_id, "name": "", "status": "DRAFT"},
        "userErrors": [],
    }
    assert await Batch.find({"namespace_id": namespace.id}).count() == 1
    assert await count_members(batch_id) == 3
    assert await Event.find({"batch_id": batch_id}).count() == 2  # created, and objects added


async def test_another_input_under_the_same_key_is_a_conflict(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    given = {**await make_input(namespace), "idempotencyKey": "one"}
    await call(caller, CREATE, input=given)

    answer = await call(caller, CREATE, input={**given, "name": "other"})

    assert answer["batch"] is None
    assert codes(answer) == [("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])]
    assert await Batch.find({"namespace_id": namespace.id}).count() == 1


async def test_every_step_of_a_batch_answers_again_as_it_did(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    """One key serves all mutations: it is scoped to each."""
    given = await make_input(namespace)
    await store(make_collection(make_bucket(namespace.id, id=given["bucketId"])))
    made = await call(
        caller, CREATE, input={"bucketId": given["bucketId"], "idempotencyKey": "key"}
    )
    batch = {"batchId": made["batch"]["id"], "idempotencyKey": "key"}
    add = {**batch, "objectIds": given["objectIds"]}

    answers = [
        await call(caller, query, input=body)
        for query, body in ((ADD, add), (ADD, add), (SUBMIT, batch), (SUBMIT, batch))
    ]

    assert [answer["userErrors"] for answer in answers] == [[]] * 4
    assert [answer["replayed"] for answer in answers] == [False, True, False, True]
    assert [answer["addedCount"] for answer in answers[:2]] == [3, 3]
    assert answers[2]["task"] == answers[3]["task"]


async def test_buckets_and_collections_are_made_once(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    """Without the key the repetition would find the name taken."""
    bucket = {"name": "things", "idempotencyKey": "key"}
    first, second = [await call(caller, BUCKET, input=bucket) for _ in range(2)]
    collection = {
        "name": "read",
        "source": {"bucketId": first["bucket"]["id"]},
        "extractor": {"name": "passthrough", "version": "v1"},
        "inputMappings": [{"input": "content", "path": "number"}],
        "idempotencyKey": "key",
    }
    third, fourth = [await call(caller, COLLECTION, input=collection) for _ in range(2)]

    assert first["bucket"] == second["bucket"]
    assert third["collection"] == fourth["collection"]
    assert third["collection"] is not None
    assert [one["replayed"] for one in (first, second, third, fourth)] == [False, True] * 2


async def test_objects_are_registered_once_and_bad_rows_answered_again(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket)
    rows = [{"key": "one"}, {"key": "one"}, {"key": ""}]
    given = {
        "bucketId": bucket.id,
        "objects": rows,
        "errorPolicy": "REJECT_FAILED_ROWS",
        "idempotencyKey": "key",
    }

    answers = await asyncio.gather(*(call(caller, OBJECTS, input=given) for _ in range(10)))

    assert sorted(answer.pop("replayed") for answer in answers) == [False] + [True] * 9
    assert all(answer == answers[0] for answer in answers)
    assert [row["object"] is None for row in answers[0]["results"]] == [False, True, True]
    assert [[one["code"] for one in row["errors"]] for row in answers[0]["results"]] == [
        [],
        ["NAME_TAKEN"],
        ["INVALID_INPUT"],
    ]
    assert await namespace.scope.count(Object) == 1


async def test_keys_of_two_namespaces_are_strangers(caller: GraphQL, other_caller: GraphQL) -> None:
    bucket = {"name": "things", "idempotencyKey": "key"}

    mine = await call(caller, BUCKET, input=bucket)
    theirs = await call(other_caller, BUCKET, input=bucket)

    assert mine["bucket"] != theirs["bucket"]
    assert [mine["replayed"], theirs["replayed"]] == [False, False]


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_is_named_when_it_is_refused(caller: GraphQL, key: str) -> None:
    answer = await call(caller, BUCKET, input={"name": "things", "idempotencyKey": key})

    assert codes(answer) == [("INVALID_INPUT", ["idempotencyKey"])]


@pytest.fixture
def request_of(namespace: NamespaceOfTest) -> Request:
    return Request(namespace.id, "createBucket", "key", "hash")


def quick(**values: Any) -> ApiSettings:
    return ApiSettings(idempotency_wait_seconds=0.05, **values)


async def never(_: Any) -> Bucket:
    raise AssertionError("nothing may be done here")


async def test_waits_for_the_first_request_no_longer_than_it_may(
    stores: Stores, request_of: Request
) -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def slow(claim: Claim) -> str:
        begun.set()
        await finish.wait()
        await claim.settle(None, text="done")
        return "done"

    async def recall(made: dict[str, Any]) -> str:
        return str(made["text"])

    first = asyncio.create_task(once(quick(), request_of, slow, recall))
    await begun.wait()
    with pytest.raises(IdempotencyInProgress):
        await once(quick(), request_of, never, never)
    second = asyncio.create_task(
        once(ApiSettings(idempotency_wait_seconds=30), request_of, never, recall)
    )
    finish.set()

    assert [await first, await second] == [Outcome("done"), Outcome("done", replayed=True)]


async def test_a_failure_leaves_the_key_free(
    stores: Stores, namespace: NamespaceOfTest, request_of: Request
) -> None:
    """The name was taken; once it is free, the same request succeeds."""
    taken = await open_bucket(namespace.scope, "things", description="", fields=[])

    def work(claim: Claim) -> Any:
        return open_bucket(namespace.scope, "things", description="", fields=[], claim=claim)

    with pytest.raises(NameTaken):
        await once(quick(), request_of, work, never)
    await Bucket.get_pymongo_collection().delete_one({"_id": taken.id})

    assert not (await once(quick(), request_of, work, never)).replayed


async def test_the_late_effect_of_a_lapsed_holder_is_undone(
    stores: Stores, namespace: NamespaceOfTest, request_of: Request
) -> None:
    """Whoever loses the claim loses the effect: key and effect are one transaction."""

    async def overtaken(claim: Claim) -> Bucket:
        rows = IdempotentRequest.get_pymongo_collection()
        await rows.update_one({"_id": claim.id}, {"$set": {"lease_until": now() - timedelta(1)}})
        second = await once(quick(), request_of, work, never)
        assert not second.replayed
        return await open_bucket(namespace.scope, "late", description="", fields=[], claim=claim)

    def work(claim: Claim) -> Any:
        return open_bucket(namespace.scope, "right", description="", fields=[], claim=claim)

    with pytest.raises(IdempotencyInProgress):
        await once(quick(), request_of, overtaken, never)

    assert [one.name async for one in Bucket.find({"namespace_id": namespace.id})] == ["right"]


async def test_s7_a_crash_before_the_commit_leaves_neither_effect_nor_answer(
    stores: Stores, namespace: NamespaceOfTest, request_of: Request
) -> None:
    bucket = make_bucket(namespace.id)

    async def dies(claim: Claim) -> Bucket:
        async def work(session: Session) -> None:
            rows = Bucket.get_pymongo_collection()
            await rows.insert_one(bucket.to_mongo(), session=session)
            await claim.settle(session, bucket_id=bucket.id)
            raise ConnectionError("the process ends here")

        await stores.database.transaction(work)
        return bucket

    with pytest.raises(ConnectionError):
        await once(quick(), request_of, dies, never)

    assert await Bucket.get(bucket.id) is None
    settled = {"owner": namespace.id, "state": "SETTLED"}
    assert await IdempotentRequest.find(settled).count() == 0


async def test_work_that_forgets_its_claim_is_found(stores: Stores, request_of: Request) -> None:
    async def forgetful(_: Claim) -> None:
        return None

    with pytest.raises(RuntimeError, match="did not settle"):
        await once(quick(), request_of, forgetful, never)


async def test_the_same_hash_only_for_the_same_input(stores: Stores, request_of: Request) -> None:
    await once(quick(), request_of, _settle, never)
    other = Request(request_of.owner, request_of.operation, request_of.key, "other hash")

    with pytest.raises(IdempotencyKeyReused):
        await once(quick(), other, never, never)
    with pytest.raises(InvalidInput):
        await once(quick(), Request("", "", "", ""), never, never)
    assert fingerprint({"a": [1, "x"]}) != fingerprint({"a": [1, "y"]})


async def _settle(claim: Claim) -> None:
    await claim.settle(None)


async def test_changes_of_objects_answer_again_as_they_did(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    given = await make_input(namespace)
    ids, bucket = given["objectIds"], {"bucketId": given["bucketId"], "idempotencyKey": "key"}
    update = {**bucket, "objects": [{"id": one, "tags": ["seen"]} for one in ids]}
    delete = {**bucket, "objectIds": ids}

    updates = [await call(caller, UPDATE, input=update) for _ in range(2)]
    deletions = [await call(caller, DELETE, input=delete) for _ in range(2)]

    for first, again in (updates, deletions):
        assert (first.pop("replayed"), again.pop("replayed")) == (False, True)
        assert first == again
    assert updates[0]["updatedCount"] == deletions[0]["deletedCount"] == 3
    assert [one["deletedObjectId"] for one in deletions[1]["results"]] == ids
    notices = await Event.get_pymongo_collection().count_documents({"namespace_id": namespace.id})
    assert notices == 2  # one of each


async def test_an_upload_is_asked_for_once(caller: GraphQL, namespace: NamespaceOfTest) -> None:
    """The link is signed again, and is as good."""
    given = await make_input(namespace)
    body = b"A letter."
    asked = {
        "bucketId": given["bucketId"], "filename": "a", "mediaType": "text/plain",
        "sizeBytes": len(body), "sha256": hashlib.sha256(body).hexdigest(),
        "idempotencyKey": "key",
    }  # fmt: skip

    first, again = [await call(caller, UPLOAD, input=asked) for _ in range(2)]
    headers = {one["name"]: one["value"] for one in again["headers"]}
    async with httpx.AsyncClient(timeout=30) as client:
        put = await client.put(again["url"], content=body, headers=headers)
    await Upload.get_pymongo_collection().update_one(
        {"_id": first["upload"]["id"]}, {"$set": {"expires_at": now()}}
    )
    late = await call(caller, UPLOAD, input=asked)

    assert (first["replayed"], again["replayed"]) == (False, True)
    assert first["upload"] == again["upload"]
    assert put.status_code == 200
    assert codes(late) == [("CONFLICT", ["idempotencyKey"])]


async def test_a_collection_is_reprocessed_once(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    given = await make_input(namespace)
    collection = make_collection(make_bucket(namespace.id, id=given["bucketId"]))
    await store(collection)
    asked = {"id": collection.id, "objects": "BUCKET", "reuse": False, "idempotencyKey": "key"}

    first, again = [await call(caller, REPROCESS, input=asked) for _ in range(2)]

    assert (first.pop("replayed"), again.pop("replayed")) == (False, True)
    assert first == again
    assert (first["task"]["type"], first["task"]["subjectId"]) == (
        "COLLECTION_REPROCESS",
        collection.id,
    )
    assert await Batch.find({"namespace_id": namespace.id}).count() == 1
