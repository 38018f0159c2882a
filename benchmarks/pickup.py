"""Pick-up: from the answer of submitBatch to the PROCESSING event at a subscriber, warm.

The subscriber is a real websocket client; the clock starts when the answer has been read.
"""

import asyncio
import json
import os
import statistics
import time
from typing import Final

import httpx
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.client import Client
from benchmarks.stack import Product, running_product

RUNS: Final = 20
LIMIT_SECONDS: Final = 0.3
_WARM_RUNS: Final = 3

CREATE_NAMESPACE: Final = (
    "mutation($name: String!) { createNamespace(input: {name: $name}) { apiKey } }"
)
CREATE_BUCKET: Final = 'mutation { createBucket(input: {name: "one"}) { bucket { id } } }'
CREATE_OBJECT: Final = """mutation($bucketId: ID!) {
  createObjects(input: {bucketId: $bucketId, objects: [{metadata: {a: 1}}]}) {
    results { object { id } } } }"""
CREATE_COLLECTION: Final = """mutation($bucketId: ID!) {
  createCollection(input: {name: "kept", source: {bucketId: $bucketId},
    extractor: {name: "passthrough"}, passthrough: [{path: "a"}]}) { collection { id } } }"""
CREATE_BATCH: Final = """mutation($bucketId: ID!, $objectIds: [ID!]) {
  createBatch(input: {bucketId: $bucketId, objectIds: $objectIds}) { batch { id } } }"""
SUBMIT: Final = "mutation($id: ID!) { submitBatch(input: {batchId: $id}) { batch { status } } }"
FOLLOW: Final = """subscription($id: ID!) { batchEvents(batchId: $id) {
  ... on BatchSnapshot { sequence } ... on BatchEvents { events { type } } } }"""


def run() -> dict[str, object]:
    """Measure and return the figures."""
    with running_product() as product:
        seconds = asyncio.run(_measure(product))
    median = statistics.median(seconds)
    print("seconds:", " ".join(f"{value:.3f}" for value in sorted(seconds)))
    return {
        "benchmark": "pickup",
        "value": round(median, 4),
        "unit": "s",
        "limit": LIMIT_SECONDS,
        "ratio": round(median / LIMIT_SECONDS, 3),
        "spread": [round(min(seconds), 4), round(max(seconds), 4)],
        "runs": len(seconds),
        "cores": os.cpu_count(),
    }


async def _measure(product: Product) -> list[float]:
    async with httpx.AsyncClient(timeout=30) as http:
        admin = Client(product, http, product.admin_key)
        opened = await admin.data(CREATE_NAMESPACE, name="pickup")
        client = Client(product, http, opened["createNamespace"]["apiKey"])
        bucket_id = (await client.data(CREATE_BUCKET))["createBucket"]["bucket"]["id"]
        made = await client.data(CREATE_OBJECT, bucketId=bucket_id)
        object_id = made["createObjects"]["results"][0]["object"]["id"]
        await client.data(CREATE_COLLECTION, bucketId=bucket_id)
        times = [
            await _one(product, client, bucket_id, object_id) for _ in range(_WARM_RUNS + RUNS)
        ]
    return times[_WARM_RUNS:]


async def _one(product: Product, client: Client, bucket_id: str, object_id: str) -> float:
    drafted = await client.data(CREATE_BATCH, bucketId=bucket_id, objectIds=[object_id])
    batch_id = drafted["createBatch"]["batch"]["id"]
    address = f"{product.base_url.replace('http', 'ws', 1)}/graphql"
    async with connect(address, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
        await _subscribe(socket, client.key, batch_id)
        following = asyncio.create_task(_await_processing(socket))
        await client.data(SUBMIT, id=batch_id)
        answered = time.perf_counter()
        return max(await following - answered, 0.0)


async def _subscribe(socket: ClientConnection, key: str, batch_id: str) -> None:
    payload = {"authorization": f"Bearer {key}"}
    await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
    await socket.recv()
    request = {"query": FOLLOW, "variables": {"id": batch_id}}
    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": request}))
    await socket.recv()  # the snapshot


async def _await_processing(socket: ClientConnection) -> float:
    async for message in socket:
        frame = json.loads(message)
        events = (frame.get("payload") or {}).get("data", {}).get("batchEvents", {})
        if any(event["type"] == "batch.processing" for event in events.get("events", [])):
            return time.perf_counter()
    raise RuntimeError("the socket closed before the batch was taken")
