"""Gate: nobody is shown what was, and nobody whose key was revoked is shown anything for long.

A read after a write sees it, on the same socket as on another connection; an event's data is of the
event or of later; a revoked key is refused within 5 s, and what it follows ends within 60 s.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchmarks.subscribers import PROTOCOL, event_frames
from tests.conformance.target import Target
from tests.fixtures.api import Socket

ROUNDS: Final = 20
REFUSED_SECONDS, ENDED_SECONDS = 5.0, 60.0
_FRAME_SECONDS: Final = 8.0
_AGAIN_SECONDS: Final = 0.1
_RENAME: Final = """mutation($id: ID!, $text: String!) {
  updateBucket(input: {id: $id, description: $text}) { bucket { id } userErrors { message } } }"""
_READ: Final = "query($id: ID!) { bucket(id: $id) { description objectCount } }"
_CREATE: Final = """mutation($id: ID!) {
  createObjects(input: {bucketId: $id, objects: [{metadata: {n: 1}}]}) {
    results { object { id } } } }"""
_ADD: Final = """mutation($id: ID!, $objectId: ID!) {
  addObjectsToBatch(input: {batchId: $id, objectIds: [$objectId]}) { batch { sequence } } }"""
_BATCH: Final = "mutation($id: ID!) { createBatch(input: {bucketId: $id}) { batch { id } } }"
_FOLLOW: Final = """subscription($id: ID!) { batchEvents(batchId: $id) {
  sequence
  ... on BatchSnapshot { batch { sequence counts { objects } bucket { objectCount } } }
  ... on BatchEvents { batch { sequence counts { objects } bucket { objectCount } } } } }"""
_KEY: Final = """mutation {
  createApiKey(input: {name: "short-lived", scopes: [READ]}) { secret apiKey { id } } }"""
_REVOKE: Final = "mutation($id: ID!) { revokeApiKey(input: {id: $id}) { apiKey { usable } } }"
_DELETE: Final = "mutation($id: ID!) { deleteBatch(input: {batchId: $id}) { deletedBatchId } }"


class Caller:
    """Operations over HTTP with one key."""

    def __init__(self, http: httpx.AsyncClient, target: Target, key: str) -> None:
        self._http = http
        self._endpoint = target.endpoint
        self._headers = {"authorization": f"Bearer {key}"}

    async def answer(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return a whole answer."""
        request = {"query": query, "variables": variables}
        answer = await self._http.post(self._endpoint, json=request, headers=self._headers)
        body: dict[str, Any] = answer.json()
        return body

    async def field(self, query: str, **variables: Any) -> Any:
        """Return the one root field of an answer without errors."""
        body = await self.answer(query, **variables)
        assert "errors" not in body, body
        (found,) = body["data"].values()
        return found


def run(target: Target) -> bool:
    """Return whether it holds."""
    passed = asyncio.run(_check(target))
    print(json.dumps({"gate": "freshness", "passed": sum(passed.values()), "of": len(passed)}))
    return all(passed.values())


async def _check(target: Target) -> dict[str, bool]:
    async with httpx.AsyncClient(timeout=30) as http:
        caller = Caller(http, target, target.key)
        return {
            "reads after writes": await _reads_after_writes(target, caller),
            "data of events": await _data_of_events(target, caller),
            "a deleted subject": await _deleted_subject(target, caller),
            **await _revocation(target, caller),
        }


async def _reads_after_writes(target: Target, caller: Caller) -> bool:
    """Write by one way and read by both, again and again on the same socket."""
    stale = 0
    async with _socket(target, target.key) as socket:
        for number in range(ROUNDS):
            text = f"round {number}"
            variables = {"id": target.bucket_id, "text": text}
            if number % 2:
                await caller.field(_RENAME, **variables)
            else:
                await _ask(socket, _RENAME, variables, f"w{number}")
            read = await _ask(socket, _READ, {"id": target.bucket_id}, f"r{number}")
            stale += read["description"] != text
            stale += (await caller.field(_READ, id=target.bucket_id))["description"] != text
    print(f"{2 * ROUNDS} reads after writes, {stale} stale")
    return stale == 0


async def _data_of_events(target: Target, caller: Caller) -> bool:
    """Change a batch and what a loader reads beside it; each frame must show both as they are."""
    batch_id = (await caller.field(_BATCH, id=target.bucket_id))["batch"]["id"]
    before = (await caller.field(_READ, id=target.bucket_id))["objectCount"]
    wrong = 0
    async with _socket(target, target.key) as socket:
        await socket.subscribe(_FOLLOW, {"id": batch_id}, id="follow")
        frame = await socket.next()
        for number in range(1, ROUNDS + 1):
            made = await caller.field(_CREATE, id=target.bucket_id)
            object_id = made["results"][0]["object"]["id"]
            added = await caller.field(_ADD, id=batch_id, objectId=object_id)
            while frame["sequence"] < added["batch"]["sequence"]:
                frame = await socket.next(_FRAME_SECONDS)
                wrong += frame["batch"]["sequence"] < frame["sequence"]
            shown = frame["batch"]["counts"]["objects"], frame["batch"]["bucket"]["objectCount"]
            wrong += shown != (number, before + number)
    print(f"{ROUNDS} events, {wrong} with data from before them")
    return wrong == 0


async def _deleted_subject(target: Target, caller: Caller) -> bool:
    """Delete what is followed: that operation ends, and the socket lives."""
    batch_id = (await caller.field(_BATCH, id=target.bucket_id))["batch"]["id"]
    async with _socket(target, target.key) as socket:
        await socket.subscribe(_FOLLOW, {"id": batch_id}, id="follow")
        await socket.next()
        await caller.field(_DELETE, id=batch_id)
        end = await socket.receive(_FRAME_SECONDS)
        alive = await _ask(socket, _READ, {"id": target.bucket_id}, "alive")
    code = end["payload"]["errors"][0]["extensions"]["code"] if end["type"] == "next" else ""
    print(f"a batch is deleted: {end['type']} {code}")
    return bool(code or end["type"] == "error") and alive is not None


async def _revocation(target: Target, caller: Caller) -> dict[str, bool]:
    """Revoke a key in use; return by what, and whether it ended in time."""
    made = await caller.field(_KEY)
    batch_id = (await caller.field(_BATCH, id=target.bucket_id))["batch"]["id"]
    async with _socket(target, made["secret"]) as socket, httpx.AsyncClient(timeout=30) as http:
        await socket.subscribe(_FOLLOW, {"id": batch_id})
        await socket.next()
        user = Caller(http, target, made["secret"])
        await user.field(_READ, id=target.bucket_id)
        stream = asyncio.create_task(_stream_end(target, made["secret"], batch_id))
        await asyncio.sleep(1)
        await caller.field(_REVOKE, id=made["apiKey"]["id"])
        began = time.monotonic()
        while "errors" not in await user.answer(_READ, id=target.bucket_id):
            await asyncio.sleep(_AGAIN_SECONDS)
        refused = time.monotonic() - began
        code = await _closed(socket)
        closed = time.monotonic() - began
        ended = await stream - began
    print(f"revoked: refused after {refused:.1f} s, socket closed {code} after {closed:.1f} s,")
    print(f"event stream ended after {ended:.1f} s")
    return {
        "refusal": refused <= REFUSED_SECONDS,
        "socket": closed <= ENDED_SECONDS and code == 4403,
        "event stream": ended <= ENDED_SECONDS,
    }


async def _closed(socket: Socket) -> int | None:
    """Go on as a good client, which answers pings; return the code of the close."""
    async with asyncio.timeout(ENDED_SECONDS):
        while True:
            try:
                await socket.receive(ENDED_SECONDS)
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None


async def _stream_end(target: Target, key: str, batch_id: str) -> float:
    """Follow by an event stream; return when it ended."""
    base_url = target.endpoint.removesuffix("/graphql")
    try:
        async for _ in event_frames(base_url, key, batch_id, None):
            pass
    except RuntimeError:  # its last frame says that the key opens nothing
        return time.monotonic()
    return time.monotonic()


async def _ask(socket: Socket, query: str, variables: dict[str, Any], id: str) -> Any:
    """Run a query on a socket and return its one root field."""
    await socket.subscribe(query, variables, id=id)
    found = await socket.next()
    assert (await socket.receive())["type"] == "complete"
    return found


@asynccontextmanager
async def _socket(target: Target, key: str) -> AsyncIterator[Socket]:
    address = target.endpoint.replace("http", "ws", 1)
    async with connect(address, subprotocols=[PROTOCOL]) as connection:
        socket = Socket(connection)
        await socket.init(key)
        yield socket
