"""Subscribers of one batch over each transport, by hand: frames as they come, cursors kept."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from models.batch import Batch, change_batch
from models.database import Session
from models.events import Event, EventType
from models.ids import new_id
from models.states import BatchStatus
from models.stored import now
from models.stores import Stores

PROTOCOL: Final = Subprotocol("graphql-transport-ws")
FOLLOW: Final = """subscription($id: ID!, $after: String) {
  batchEvents(batchId: $id, after: $after) {
  __typename cursor fromSequence sequence ... on BatchEvents { events { sequence type } } } }"""
_AWAY: Final = 10**6


async def make_running_batch(namespace_id: str) -> Batch:
    """Store a batch under way that no worker is due to look at."""
    batch = Batch(
        id=new_id("btc"), namespace_id=namespace_id, bucket_id=new_id("bkt"), sequence=0,
        status=BatchStatus.PROCESSING, lease_until=now() + timedelta(seconds=_AWAY),
        blocks_total=1, blocks_open=1,
    )  # fmt: skip
    await Batch.get_pymongo_collection().insert_one(batch.to_mongo())
    return batch


async def commit_event(stores: Stores, batch: Batch) -> tuple[int, float]:
    """Commit one event and announce it; return its number and when its commit was known."""

    async def work(session: Session) -> Event | None:
        return await change_batch(session, {"_id": batch.id}, {}, EventType.BLOCK_RETRIED)

    event = await stores.database.transaction(work)
    committed = time.perf_counter()
    assert event is not None
    await stores.bus.announce(batch.namespace_id, batch.id, event.sequence)
    return event.sequence, committed


@asynccontextmanager
async def open_socket(base_url: str, key: str) -> AsyncIterator[ClientConnection]:
    """Open a websocket that was acknowledged."""
    address = f"{base_url.replace('http', 'ws', 1)}/graphql"
    async with connect(
        address, subprotocols=[PROTOCOL], compression=None, ping_interval=None, max_size=None
    ) as socket:
        payload = {"authorization": f"Bearer {key}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        await socket.recv()
        yield socket


async def subscribe(socket: ClientConnection, batch_id: str, after: str | None = None) -> None:
    """Start the operation."""
    request = {"query": FOLLOW, "variables": {"id": batch_id, "after": after}}
    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": request}))


async def socket_frames(
    base_url: str, key: str, batch_id: str, after: str | None
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield frames of a websocket until it ends."""
    async with open_socket(base_url, key) as socket:
        await subscribe(socket, batch_id, after)
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "ping":
                await socket.send('{"type":"pong"}')
            elif message["type"] == "next":
                yield message["payload"]["data"]["batchEvents"]
            elif message["type"] == "error":
                raise RuntimeError(message)


async def event_frames(
    base_url: str, key: str, batch_id: str, after: str | None
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield frames of an event stream, resumed by Last-Event-ID."""
    extra = {} if after is None else {"last-event-id": after}
    async for block in _blocks(base_url, key, batch_id, None, "text/event-stream", extra, "\n\n"):
        for line in block.split("\n"):
            if line.startswith("data: "):
                yield _data(json.loads(line.removeprefix("data: ")))


async def part_frames(
    base_url: str, key: str, batch_id: str, after: str | None
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield frames of a multipart body."""
    accept = "multipart/mixed;subscriptionSpec=1.0"
    async for block in _blocks(base_url, key, batch_id, after, accept, {}, "--graphql"):
        body = block.partition("\r\n\r\n")[2]
        if body.strip() and (found := json.loads(body)):
            yield _data(found["payload"])


def _data(payload: dict[str, Any]) -> dict[str, Any]:
    if "errors" in payload:
        raise RuntimeError(payload)
    found: dict[str, Any] = payload["data"]["batchEvents"]
    return found


async def _blocks(
    base_url: str, key: str, batch_id: str, after: str | None, accept: str,
    extra: dict[str, str], mark: str,
) -> AsyncGenerator[str, None]:  # fmt: skip
    """Yield what stands between marks in a chunked body."""
    parts = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    body = json.dumps({"query": FOLLOW, "variables": {"id": batch_id, "after": after}}).encode()
    fields = {
        "host": parts.netloc, "accept": accept, "authorization": f"Bearer {key}",
        "content-type": "application/json", "content-length": str(len(body)), **extra,
    }  # fmt: skip
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    try:
        writer.write(f"POST /graphql HTTP/1.1\r\n{head}\r\n".encode() + body)
        status = await reader.readuntil(b"\r\n\r\n")
        if not status.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(status.decode())
        text = ""
        while size := int(await reader.readline(), 16):
            text += (await reader.readexactly(size)).decode()
            await reader.readexactly(2)
            *blocks, text = text.split(mark)
            for block in blocks:
                yield block
    finally:
        writer.close()
