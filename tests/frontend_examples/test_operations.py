"""The operations: each fits the schema, and all of them together are one life of a batch."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import build_schema, parse, validate
from standardwebhooks import Webhook as Verifier
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.fixtures.stack import RECEIVER_PORT
from tests.receiver import Receiver, open_receiver

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = {
    path.stem: path.read_text()
    for path in sorted((ROOT / "frontend_examples/operations").glob("*.graphql"))
}
PROTOCOLS = [Subprotocol("graphql-transport-ws")]
TEXTS = {
    "tides": "The sea rises and falls twice a day, drawn by the moon and the sun.",
    "bread": "Dough of flour and water is leavened with yeast and baked in a hot oven.",
    "chess": "Two players move sixteen pieces each; the game ends when a king is mated.",
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_fits_the_schema(name: str) -> None:
    schema = build_schema((ROOT / "graphql_api/schema.graphql").read_text())

    assert validate(schema, parse(OPERATIONS[name])) == []


class Caller:
    """Runs operations by name and remembers which; an answer with any error fails the test."""

    def __init__(self, stack: Any, key: str) -> None:
        self._stack = stack
        self._headers = {"authorization": f"Bearer {key}"}
        self.ran: set[str] = set()

    async def ask(self, name: str, /, **variables: Any) -> Any:
        field = await self._call(name, variables)
        assert not isinstance(field, dict) or field.get("userErrors", []) == [], field
        return field

    async def refused(self, name: str, /, **variables: Any) -> str:
        (error,) = (await self._call(name, variables))["userErrors"]
        code: str = error["code"]
        return code

    async def _call(self, name: str, variables: dict[str, Any]) -> Any:
        self.ran.add(name)
        async with httpx.AsyncClient(headers=self._headers, timeout=30) as client:
            payload = {"query": OPERATIONS[name], "variables": variables}
            answer = (await client.post(self._stack.endpoint, json=payload)).json()
        assert "errors" not in answer, answer
        (field,) = answer["data"].values()
        return field

    async def follow(self, name: str, *, frames: int | None = None, **variables: Any) -> list[Any]:
        """Return the frames of a subscription: so many, or all until it completes."""
        self.ran.add(name)
        found: list[Any] = []
        async with connect(self._stack.websocket, subprotocols=PROTOCOLS) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": self._headers}))
            payload = {"query": OPERATIONS[name], "variables": variables}
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
            while len(found) != frames and (frame := await _next_frame(socket)):
                found.append(frame)
        return found


async def _next_frame(socket: ClientConnection) -> Any:
    """Return the next frame of the only subscription; None at its end."""
    while True:
        message = json.loads(await socket.recv())
        if message["type"] == "complete":
            return None
        if message["type"] == "next":
            assert "errors" not in message["payload"], message
            (frame,) = message["payload"]["data"].values()
            return frame
        assert message["type"] in ("connection_ack", "ping"), message


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Where the stack's webhooks may go."""
    async with open_receiver(port=RECEIVER_PORT) as opened:
        yield opened


@pytest.mark.stack
@pytest.mark.timeout(120)
async def test_lives_the_life_of_a_batch(stack: Any, receiver: Receiver) -> None:
    admin = Caller(stack, stack.admin_key)
    created = await admin.ask("createNamespace", name=f"operations-{time.time_ns()}")
    api = Caller(stack, created["apiKey"])

    assert "text" in [found["name"] for found in await api.ask("extractors")]
    bucket_id, collection_id = await make_places(api)
    rows = [
        {"key": key, "metadata": {"title": key}, "blobs": [{"property": "content", "text": text}]}
        for key, text in TEXTS.items()
    ]
    registered = await api.ask("createObjects", bucketId=bucket_id, objects=rows)
    assert (registered["createdCount"], registered["failedCount"]) == (3, 0)
    ids = [row["object"]["id"] for row in registered["results"]]

    hook = await make_webhook(api, bucket_id)
    draft = await api.ask("createBatch", bucketId=bucket_id, name="first", objectIds=ids[:2])
    batch_id = draft["batch"]["id"]
    added = await api.ask("addObjectsToBatch", batchId=batch_id, objectIds=ids)
    assert (added["addedCount"], added["batch"]["counts"]["objects"]) == (1, 3)
    planned = await api.ask("planBatch", batchId=batch_id)
    assert planned["plan"]["rows"] == 3

    submitted = await api.ask("submitBatch", batchId=batch_id, includeProcessingHistory=True)
    again = await api.ask("submitBatch", batchId=batch_id, includeProcessingHistory=True)
    assert (submitted["replayed"], again["replayed"]) == (False, True)
    frames = await api.follow("batchEvents", batchId=batch_id)
    assert frames[0]["__typename"] == "BatchSnapshot"
    assert frames[-1]["batch"]["status"] == "COMPLETED"
    assert (await api.ask("task", id=submitted["task"]["id"]))["batchId"] == batch_id

    await check_results(api, batch_id, collection_id)
    hybrid = await api.ask(
        "hybridSearch",
        bucketId=bucket_id,
        query={"text": "a game with a king"},
        vectors=[{"feature": "strata://text@v1/embedding", "weight": 2}],
        filter={"field": {"path": "title", "operator": "EQ", "value": "chess"}},
    )
    assert [len(group["hits"]) for group in hybrid["groups"]] == [1]
    await check_lists(api, batch_id, bucket_id, collection_id)

    await check_webhook(api, receiver, hook, batch_id)

    spare = (await api.ask("createBatch", bucketId=bucket_id))["batch"]["id"]
    deleted = await api.ask("deleteBatch", batchId=spare)
    assert deleted["deletedBatchId"] == spare
    for operation in ("pauseBatch", "resumeBatch"):
        assert await api.refused(operation, batchId=batch_id) == "ILLEGAL_TRANSITION"
    first = {"batchId": batch_id, "priority": 10}
    assert await api.refused("setBatchPriority", **first) == "ILLEGAL_TRANSITION"
    canceled = await api.ask("cancelBatch", batchId=batch_id)
    assert canceled["batch"]["status"] == "COMPLETED"
    assert await api.refused("retryBatch", batchId=batch_id) == "ILLEGAL_TRANSITION"
    assert (await api.ask("diagnoseBatch", id=batch_id))["health"]["state"] == "ENDED"
    await check_schedules(api, bucket_id)
    await check_keys(api)
    hours = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
    assert await api.ask("analytics", **hours, by=["EXTRACTOR"]) == []
    await check_objects(api, bucket_id, ids)
    await check_uploads(api, bucket_id)
    assert (await api.ask("rateLimit"))["remaining"] > 0
    await check_collections(api, collection_id)
    await check_deletions(api, bucket_id, collection_id)
    assert api.ran | admin.ran == OPERATIONS.keys()


async def make_webhook(api: Caller, bucket_id: str) -> dict[str, Any]:
    made: dict[str, Any] = await api.ask(
        "createWebhook",
        url=f"http://127.0.0.1:{RECEIVER_PORT}/hook",
        eventTypes=["BATCH_COMPLETED"],
        bucketIds=[bucket_id],
    )
    return made


async def check_webhook(
    api: Caller, receiver: Receiver, hook: dict[str, Any], batch_id: str
) -> None:
    """The worker has told of the batch, and tells of a test, in signed requests."""
    webhook_id = hook["webhook"]["id"]
    (edge,) = (await api.ask("webhooks"))["edges"]
    assert edge["node"]["id"] == webhook_id
    tested = (await api.ask("testWebhook", webhookId=webhook_id))["delivery"]
    received = await receiver.wait_for(2, 30)
    bodies = [Verifier(hook["secret"]).verify(one.body, one.headers) for one in received]
    by_type = {body["type"]: body for body in bodies}
    assert by_type["batch.completed"]["data"]["batchId"] == batch_id
    assert "endpoint.test" in by_type
    async with asyncio.timeout(20):
        while await count_deliveries(api, webhook_id, "DELIVERED") < 2:
            await asyncio.sleep(0.05)
    newest = (await api.ask("webhookDeliveries", webhookId=webhook_id))["edges"][0]["node"]
    assert newest["id"] == tested["id"]
    rotated = await api.ask("rotateWebhookSecret", webhookId=webhook_id)
    assert rotated["secret"] != hook["secret"]
    span = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    assert (await api.ask("redeliverRange", webhookId=webhook_id, **span))["redeliveredCount"] == 0
    (frame,) = await api.follow("namespaceEvents", frames=1)
    assert (frame["events"], frame["position"] > 0) == ([], True)


async def count_deliveries(api: Caller, webhook_id: str, status: str) -> int:
    found = await api.ask("webhookDeliveries", webhookId=webhook_id, status=status)
    return len(found["edges"])


async def check_schedules(api: Caller, bucket_id: str) -> None:
    planned = {"name": "nightly", "bucketId": bucket_id, "cron": "0 2 * * *"}
    schedule = (await api.ask("createSchedule", input=planned))["schedule"]
    listed = (await api.ask("schedules"))["edges"]
    assert [edge["node"]["id"] for edge in listed] == [schedule["id"]]


async def check_keys(api: Caller) -> None:
    """A key is made, and that is on record."""
    made = await api.ask("createApiKey", name="reader", scopes=["READ"])
    assert made["secret"].startswith("strata_key_")
    entries = (await api.ask("auditLog", filter={"action": "createApiKey"}))["edges"]
    assert [edge["node"]["outcome"] for edge in entries] == ["DONE"]


async def check_collections(api: Caller, collection_id: str) -> None:
    (frame,) = await api.follow("documentsWritten", frames=1, collectionId=collection_id)
    assert frame["documentCount"] == len(TEXTS)
    again = await api.ask("reprocessCollection", id=collection_id)
    assert (await api.follow("taskUpdated", id=again["task"]["id"]))[-1]["status"] == "COMPLETED"
    frames = await api.follow("batchEvents", batchId=again["batch"]["id"])
    assert frames[-1]["batch"]["status"] == "COMPLETED"
    renamed = await api.ask("updateCollection", id=collection_id, name="renamed")
    assert renamed["collection"]["name"] == "renamed"
    clone = await api.ask("cloneCollection", id=collection_id, name="clone")
    assert clone["collection"]["documentCount"] == 0


async def check_uploads(api: Caller, bucket_id: str) -> None:
    """A file goes straight to S3, by the link alone; one of JSON lines becomes objects."""
    await send_file(api, bucket_id, b"A letter.", media_type="text/plain")
    lines = b'{"blobs": [{"property": "content", "text": "One."}]}\n{"metadata": {}}\n'
    upload_id = await send_file(api, bucket_id, lines, media_type="application/x-ndjson")
    task = (await api.ask("importObjects", bucketId=bucket_id, uploadId=upload_id))["task"]
    frames = await api.follow("taskUpdated", id=task["id"])
    assert frames[-1]["status"] == "COMPLETED_WITH_ERRORS", frames
    found = await api.ask("lineErrors", taskId=task["id"])
    assert (found["importCounts"]["created"], found["importCounts"]["rejected"]) == (1, 1)
    assert [edge["node"]["line"] for edge in found["lineErrors"]["edges"]] == [2]
    canceled = (await api.ask("cancelTask", id=task["id"]))["task"]
    assert canceled["status"] == "COMPLETED_WITH_ERRORS"


async def send_file(api: Caller, bucket_id: str, body: bytes, *, media_type: str) -> str:
    announced = {
        "filename": "file",
        "mediaType": media_type,
        "sizeBytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    link = await api.ask("requestUpload", bucketId=bucket_id, **announced)
    headers = {one["name"]: one["value"] for one in link["headers"]}
    async with httpx.AsyncClient(timeout=30) as client:
        assert (await client.put(link["url"], content=body, headers=headers)).status_code == 200
    confirmed = await api.ask("confirmUpload", uploadId=link["upload"]["id"])
    assert confirmed["upload"]["status"] == "CONFIRMED"
    return str(link["upload"]["id"])


async def check_objects(api: Caller, bucket_id: str, ids: list[str]) -> None:
    renamed = await api.ask("updateBucket", id=bucket_id, name="renamed")
    assert renamed["bucket"]["name"] == "renamed"
    change = {"id": ids[0], "metadata": {"title": "changed"}, "tags": ["seen"]}
    updated = await api.ask("updateObjects", bucketId=bucket_id, objects=[change])
    assert updated["updatedCount"] == 1
    found = await api.ask("objects", bucketId=bucket_id, filter={"tags": ["seen"]})
    assert [edge["node"]["id"] for edge in found["edges"]] == [ids[0]]
    gone = await api.ask("deleteObjects", bucketId=bucket_id, objectIds=ids[:1])
    assert gone["deletedCount"] == 1


async def check_deletions(api: Caller, bucket_id: str, collection_id: str) -> None:
    """Each is a task that the worker brings to its end."""
    for name, subject in (("deleteCollection", collection_id), ("deleteBucket", bucket_id)):
        task = (await api.ask(name, id=subject))["task"]
        frames = await api.follow("taskUpdated", id=task["id"])
        assert frames[-1]["status"] == "COMPLETED", frames
    tasks = await api.ask("tasks", filter={"type": ["BUCKET_DELETE", "COLLECTION_DELETE"]})
    assert tasks["totalCount"] == 2


async def make_places(api: Caller) -> tuple[str, str]:
    fields = [
        {"name": "content", "type": "TEXT", "required": True},
        {"name": "title", "type": "STRING"},
    ]
    bucket_id = (await api.ask("createBucket", name="texts", fields=fields))["bucket"]["id"]
    collection = {
        "name": "embedded",
        "source": {"bucketId": bucket_id},
        "extractor": {"name": "text"},
        "inputMappings": [{"input": "text", "path": "content"}],
        "passthrough": [{"path": "title", "target": "title"}],
    }
    return bucket_id, (await api.ask("createCollection", input=collection))["collection"]["id"]


async def check_results(api: Caller, batch_id: str, collection_id: str) -> None:
    batch = await api.ask("batch", id=batch_id)
    assert batch["counts"]["documentsWritten"] == 3
    assert [step["status"] for step in batch["transitions"]][0::3] == ["DRAFT", "COMPLETED"]
    assert (await api.ask("rowErrors", batchId=batch_id))["rowErrors"]["totalCount"] == 0

    documents = await api.ask("documents", collectionId=collection_id)
    histories = [edge["node"]["internalMetadata"] for edge in documents["edges"]]
    assert [history["batchId"] for history in histories] == [batch_id] * 3
    assert [len(history["processingHistory"]) for history in histories] == [1] * 3

    facets = await api.ask("documentFacets", collectionId=collection_id, field="title")
    assert [(one["value"], one["count"]) for one in facets] == [(key, 1) for key in sorted(TEXTS)]
    first = documents["edges"][0]["node"]
    lineage = await api.ask("lineage", id=first["id"])
    assert (lineage["object"]["id"], lineage["upstream"]) == (first["objectId"], [])
    made = await api.ask("objectDocuments", objectId=first["objectId"])
    assert [edge["node"]["id"] for edge in made["edges"]] == [first["id"]]

    found = await api.ask(
        "searchDocuments", collectionId=collection_id, query={"text": "a game with a king"}, first=1
    )
    assert [hit["document"]["fields"]["title"] for hit in found["hits"]] == ["chess"]


async def check_lists(api: Caller, batch_id: str, bucket_id: str, collection_id: str) -> None:
    """Only what belongs to this namespace is listed."""
    for name, expected in [
        ("batches", batch_id),
        ("buckets", bucket_id),
        ("collections", collection_id),
    ]:
        assert [edge["node"]["id"] for edge in (await api.ask(name))["edges"]] == [expected]
    (first,) = await api.follow("batchesChanged", frames=1)
    entered = [(change["kind"], change["batchId"]) for change in first["changes"]]
    assert entered == [("ENTERED", batch_id)]
