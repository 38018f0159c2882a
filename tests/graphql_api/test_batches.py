"""Batches and tasks: every mutation's user errors, submitting twice, canceling, deleting."""

from typing import Any

import pytest

from models.batch_member import BatchMember
from models.bucket import Bucket
from models.collection import Collection, InputMapping
from models.errors import ErrorCategory
from models.events import Event
from models.fields import ExtractorChoice
from models.ids import new_id
from models.row_error import RowError
from models.states import FINAL, BatchStatus, BlockStatus
from models.stores import Stores
from models.task import Task
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
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import FAR_AWAY, add_events, run_batch
from tests.graphql_api.calls import ERRORS, call, codes

S = BatchStatus
CREATE = f"""mutation($input: CreateBatchInput!) {{
  createBatch(input: $input) {{ batch {{ id status name metadata counts {{ objects }} }} {ERRORS} }}
}}"""
ADD = f"""mutation($id: ID!, $objects: [ID!]!) {{
  addObjectsToBatch(input: {{batchId: $id, objectIds: $objects}}) {{
    addedCount batch {{ counts {{ objects }} }} {ERRORS} }}
}}"""
PLAN = f"""query($id: ID!) {{
  planBatch(batchId: $id) {{
    plan {{ rows rowsMissingInput blocks estimatedSeconds
           tiers {{ number collections {{ id }} }} }} {ERRORS} }}
}}"""
SUBMIT = f"""mutation($id: ID!) {{
  submitBatch(input: {{batchId: $id}}) {{
    replayed batch {{ id status counts {{ rowsIn rowsMissingInput }} reason {{ code }} }}
    task {{ id batchId type }} {ERRORS} }}
}}"""
CANCEL = f"""mutation($id: ID!) {{
  cancelBatch(input: {{batchId: $id}}) {{ batch {{ id status finishedAt }} {ERRORS} }}
}}"""
DELETE = f"""mutation($id: ID!) {{
  deleteBatch(input: {{batchId: $id}}) {{ deletedBatchId {ERRORS} }}
}}"""
TASK = "query($id: ID!) { task(id: $id) { id status batchId errorMessage finishedAt } }"


async def draft(
    namespace: NamespaceOfTest,
    *,
    objects: int = 2,
    collections: int = 1,
    extractor: str = "passthrough",
    **of_object: Any,
) -> tuple[str, list[Collection]]:
    """Store a draft with objects in it, and collections that read its bucket."""
    bucket = make_bucket(namespace.id)
    items = [make_object(bucket, **of_object) for _ in range(objects)]
    read = [_reader(bucket, extractor) for _ in range(collections)]
    batch = make_batch(namespace.id, bucket_id=bucket.id)
    batch.counts.objects = objects
    members = [
        BatchMember(
            id=f"{batch.id}/{item.id}",
            namespace_id=namespace.id,
            batch_id=batch.id,
            object_id=item.id,
        )
        for item in items
    ]
    await store(bucket, *items, *read, batch, *members)
    return batch.id, read


def _reader(bucket: Bucket, extractor: str) -> Collection:
    if extractor == "passthrough":
        return make_collection(bucket)
    choice = ExtractorChoice(name=extractor, version="v1")
    mapping = InputMapping(input="text", path="content")
    return make_collection(bucket, extractor=choice, input_mappings=[mapping])


async def test_a_draft_is_created_with_its_objects(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    items = [make_object(bucket) for _ in range(3)]
    await store(bucket, *items)
    ids = [item.id for item in items]
    chosen = {"bucketId": bucket.id, "name": "n", "metadata": {"a": 1}, "objectIds": ids[:2]}

    made = (await call(caller, CREATE, input=chosen))["batch"]
    added = await call(caller, ADD, id=made["id"], objects=[*ids, ids[0]])
    again = await call(caller, ADD, id=made["id"], objects=ids)

    assert made["counts"] == {"objects": 2}
    assert (made["status"], made["name"], made["metadata"]) == ("DRAFT", "n", {"a": 1})
    assert (added["addedCount"], added["batch"]["counts"]["objects"]) == (1, 3)
    assert (again["addedCount"], again["batch"]["counts"]["objects"]) == (0, 3)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"bucketId": "bkt_nowhere"}, ("NOT_FOUND", ["bucketId"])),
        ({"metadata": [1]}, ("INVALID_INPUT", ["metadata"])),
        ({"metadata": {"a": 2**70}}, ("INVALID_INPUT", ["metadata", "a"])),
        ({"objectIds": ["obj_nowhere"]}, ("INVALID_INPUT", ["objectIds", "0"])),
        ({"objectIds": ["obj_x"] * 1001}, ("INVALID_INPUT", ["objectIds"])),
    ],
)
async def test_what_is_wrong_with_a_draft_is_named(
    caller: GraphQL,
    namespace: NamespaceOfTest,
    change: dict[str, Any],
    error: tuple[str, list[str]],
) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket)

    made = await call(caller, CREATE, input={"bucketId": bucket.id, **change})

    assert (made["batch"], codes(made)) == (None, [error])
    assert await namespace.scope.all(type(make_batch(namespace.id))) == []


async def test_objects_of_another_bucket_do_not_get_in(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    batch_id, _ = await draft(namespace)
    elsewhere = make_bucket(namespace.id)
    item = make_object(elsewhere)
    await store(elsewhere, item)

    added = await call(caller, ADD, id=batch_id, objects=[item.id])
    many = await call(caller, ADD, id=batch_id, objects=[item.id] * 1001)

    assert codes(added) == [("INVALID_INPUT", ["objectIds", "0"])]
    assert codes(many) == [("INVALID_INPUT", ["objectIds"])]


@pytest.mark.parametrize("status", sorted(set(S) - {S.DRAFT}))
async def test_only_a_draft_takes_objects(
    caller: GraphQL, namespace: NamespaceOfTest, status: BatchStatus
) -> None:
    batch = await run_batch(namespace, status=status)

    added = await call(caller, ADD, id=batch.id, objects=[])

    assert codes(added) == [("ILLEGAL_TRANSITION", ["batchId"])]


async def test_a_plan_writes_nothing(caller: GraphQL, namespace: NamespaceOfTest) -> None:
    batch_id, read = await draft(namespace, objects=3)
    reader = make_collection(read)
    await store(reader)

    plan = (await call(caller, PLAN, id=batch_id))["plan"]

    assert [[c["id"] for c in tier["collections"]] for tier in plan["tiers"]] == [
        [read[0].id], [reader.id],
    ]  # fmt: skip
    assert (plan["rows"], plan["rowsMissingInput"]) == (3, 0)
    status = await caller.data("query($id: ID!) { batch(id: $id) { status } }", id=batch_id)
    assert status == {"batch": {"status": "DRAFT"}}


@pytest.mark.parametrize("query", [PLAN, SUBMIT], ids=["plan", "submit"])
class TestWhatCannotBeSubmitted:
    """planBatch says beforehand what submitBatch would."""

    async def test_an_unknown_batch(self, caller: GraphQL, query: str) -> None:
        answer = await call(caller, query, id="btc_nowhere")

        assert codes(answer) == [("NOT_FOUND", ["batchId"])]

    async def test_an_empty_batch(
        self, caller: GraphQL, namespace: NamespaceOfTest, query: str
    ) -> None:
        batch_id, _ = await draft(namespace, objects=0)

        answer = await call(caller, query, id=batch_id)

        assert codes(answer) == [("EMPTY_BATCH", [])]
        assert batch_id in answer["userErrors"][0]["message"]

    async def test_a_bucket_that_nothing_reads(
        self, caller: GraphQL, namespace: NamespaceOfTest, query: str
    ) -> None:
        batch_id, _ = await draft(namespace, collections=0)

        assert codes(await call(caller, query, id=batch_id)) == [("NOTHING_TO_RUN", [])]

    async def test_collections_in_a_circle(
        self, caller: GraphQL, namespace: NamespaceOfTest, query: str
    ) -> None:
        """The API makes no circle: this one is written past it."""
        batch_id, (first,) = await draft(namespace)
        second = make_collection([first])
        third = make_collection([second])
        await store(second, third)
        rows = Collection.get_pymongo_collection()
        reads = {"source.collection_ids": [first.id, third.id]}
        await rows.update_one({"_id": second.id}, {"$set": reads})

        answer = await call(caller, query, id=batch_id)

        assert codes(answer) == [("COLLECTION_CYCLE", [])]
        message = answer["userErrors"][0]["message"]
        assert second.id in message
        assert third.id in message
        status = await caller.data("query($id: ID!) { batch(id: $id) { status } }", id=batch_id)
        assert status == {"batch": {"status": "DRAFT"}}

    async def test_a_collection_whose_source_is_gone(
        self, caller: GraphQL, namespace: NamespaceOfTest, query: str
    ) -> None:
        batch_id, (first,) = await draft(namespace)
        gone = make_collection([first])
        await store(make_collection([first, gone]))

        answer = await call(caller, query, id=batch_id)

        assert codes(answer) == [("INVALID_MAPPING", [])]
        assert gone.id in answer["userErrors"][0]["message"]


async def test_a_batch_submitted_twice_is_submitted_once(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    batch_id, _ = await draft(namespace)

    first = await call(caller, SUBMIT, id=batch_id)
    second = await call(caller, SUBMIT, id=batch_id)

    assert (first["replayed"], second["replayed"]) == (False, True)
    assert first["task"] == second["task"]
    assert first["task"]["batchId"] == batch_id
    assert first["userErrors"] == second["userErrors"] == []
    assert len(await namespace.scope.all(Task)) == 1
    queued = {"batch_id": batch_id, "type": "batch.queued"}
    assert await namespace.scope.count(Event, queued) == 1


async def test_rows_that_lack_an_input_are_counted_and_explained(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    batch_id, (collection,) = await draft(
        namespace, extractor="text", metadata={"other": 1}, blobs=[]
    )
    errors = """query($id: ID!) { batch(id: $id) { rowErrors(first: 10) {
      totalCount edges { node { category message hint objectId collectionId rows } } } } }"""

    plan = (await call(caller, PLAN, id=batch_id))["plan"]
    submitted = await call(caller, SUBMIT, id=batch_id)
    found = (await call(caller, errors, id=batch_id))["rowErrors"]

    assert plan["rowsMissingInput"] == 2
    assert submitted["batch"]["counts"] == {"rowsIn": 2, "rowsMissingInput": 2}
    assert found["totalCount"] == 2
    node = found["edges"][0]["node"]
    assert node["category"] == ErrorCategory.VALIDATION
    assert node["collectionId"] == collection.id
    assert "content" in node["message"]
    assert node["hint"]


async def test_a_batch_that_never_was_submitted_cannot_be_replayed(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace, status=S.CANCELED)

    assert codes(await call(caller, SUBMIT, id=batch.id)) == [("ILLEGAL_TRANSITION", [])]


@pytest.mark.parametrize("status", list(S))
async def test_canceling_answers_in_every_state(
    caller: GraphQL, namespace: NamespaceOfTest, status: BatchStatus
) -> None:
    batch = await run_batch(namespace, status=status)
    block = make_block(batch, status=BlockStatus.LEASED, lease_until=FAR_AWAY)
    await store(block)

    canceled = await call(caller, CANCEL, id=batch.id)

    if status == S.DRAFT:
        assert codes(canceled) == [("ILLEGAL_TRANSITION", ["batchId"])]
        assert "deleteBatch" in canceled["userErrors"][0]["hint"]
    elif status in (S.QUEUED, S.PROCESSING):
        assert canceled["batch"]["status"] == "CANCELED"
        assert canceled["batch"]["finishedAt"]
        (left,) = await namespace.scope.all(type(block), {"batch_id": batch.id})
        assert (left.status, left.epoch) == (BlockStatus.CANCELED, block.epoch + 1)
    elif status == S.CANCELING:  # a sweep may end it at any moment
        assert canceled["batch"]["status"] in ("CANCELING", "CANCELED")
    else:
        assert canceled["batch"]["status"] == status


async def test_what_is_unknown_can_be_neither_canceled_nor_deleted(caller: GraphQL) -> None:
    for query in (CANCEL, DELETE):
        assert codes(await call(caller, query, id="btc_nowhere")) == [("NOT_FOUND", ["batchId"])]


@pytest.mark.parametrize("status", list(S))
async def test_deleting_a_batch_keeps_its_documents(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest, status: BatchStatus
) -> None:
    batch = await run_batch(namespace, status=status)
    collection = make_collection(make_bucket(namespace.id))
    block = make_block(batch, status=BlockStatus.DONE, collection_id=collection.id)
    document = make_document(block, fields={"number": 7})
    await store(collection, block, document, make_task(batch))
    await add_events(stores, batch, 3)
    read = "query($id: ID!) { batch(id: $id) { status } }"

    deleted = await call(caller, DELETE, id=batch.id)

    if status in FINAL | {S.DRAFT}:
        assert deleted == {"deletedBatchId": batch.id, "userErrors": []}
        assert await caller.data(read, id=batch.id) == {"batch": None}
        for kind in (Event, Task, RowError, BatchMember):
            assert await namespace.scope.count(kind, {"batch_id": batch.id}) == 0
    else:
        assert codes(deleted) == [("ILLEGAL_TRANSITION", ["batchId"])]
        assert deleted["userErrors"][0]["hint"]
        assert await caller.data(read, id=batch.id) != {"batch": None}
    shown = await caller.data("query($id: ID!) { document(id: $id) { fields } }", id=document.id)
    assert shown == {"document": {"fields": {"number": 7}}}


async def test_a_task_is_found_in_its_mirror_and_behind_it(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest
) -> None:
    task = make_task(make_batch(namespace.id), status=S.FAILED, error_message="as stored")
    await store(task)
    mirrored = task.model_copy(update={"error_message": "as mirrored"})
    key = f"{stores.settings.redis.prefix}:task:{task.id}"

    await stores.bus.mirror_task(task.id, mirrored.model_dump_json(by_alias=True))
    from_mirror = await call(caller, TASK, id=task.id)
    await stores.bus.redis.set(key, "no task at all")
    past_garbage = await call(caller, TASK, id=task.id)
    await stores.bus.redis.delete(key)
    from_database = await call(caller, TASK, id=task.id)

    assert from_mirror["errorMessage"] == "as mirrored"
    assert past_garbage["errorMessage"] == from_database["errorMessage"] == "as stored"


async def test_a_mirror_left_behind_hides_no_end(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest
) -> None:
    """Redis was away when the batch ended: its mirror still says that it runs."""
    task = make_task(make_batch(namespace.id), status=S.COMPLETED)
    await store(task)
    stale = task.model_copy(update={"status": str(S.PROCESSING)})
    await stores.bus.mirror_task(task.id, stale.model_dump_json(by_alias=True))

    assert (await call(caller, TASK, id=task.id))["status"] == "COMPLETED"


async def test_a_batch_shows_all_there_is_to_it(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch_id, (collection,) = await draft(namespace)
    await call(caller, SUBMIT, id=batch_id)
    query = """query($id: ID!) { batch(id: $id) {
      bucket { id objectCount } task { id status } submittedAt
      tiers { number collections { collection { id } counts { rowsIn } blocks { ready } } }
      artifacts { extractor key rows bytes sha256 }
      transitions { status sequence } progress { blocksTotal rowsTotal percent } } }"""

    batch = await call(caller, query, id=batch_id)

    (tier,) = batch["tiers"]
    assert tier["collections"][0]["collection"] == {"id": collection.id}
    assert tier["collections"][0]["counts"] == {"rowsIn": 2}
    (artifact,) = batch["artifacts"]
    assert (artifact["extractor"], artifact["rows"]) == ("passthrough@v1", 2)
    assert len(artifact["sha256"]) == 64
    assert batch["transitions"][-1]["status"] != "DRAFT"
    assert batch["bucket"]["objectCount"] == 2
    assert batch["progress"]["rowsTotal"] == 2


async def test_a_filter_chooses_batches(caller: GraphQL, namespace: NamespaceOfTest) -> None:
    kept = [await run_batch(namespace, status=status) for status in (S.DRAFT, S.FAILED)]
    query = """query($filter: BatchFilter) { batches(filter: $filter) {
      totalCount edges { node { id } } } }"""

    async def found(**chosen: Any) -> list[str]:
        page = await call(caller, query, filter=chosen)
        return [edge["node"]["id"] for edge in page["edges"]]

    assert await found() == [kept[1].id, kept[0].id]
    assert await found(status=["FAILED"]) == [kept[1].id]
    assert await found(status=[]) == [kept[1].id, kept[0].id]
    assert await found(status=["FAILED", "DRAFT"], bucketId=kept[0].bucket_id) == [kept[0].id]
    assert await found(bucketId=new_id("bkt")) == []
