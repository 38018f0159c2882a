"""Subscriptions over the whole stack: a real batch watched from its draft to its end."""

import asyncio
import contextlib
import json
import os
import signal
import time
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.e2e.flows import draft_texts, open_api, operation
from tests.fixtures.stack import Stack
from tests.fixtures.stores import NamespaceOfTest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]
PROTOCOLS = [Subprotocol("graphql-transport-ws")]
TEXTS = [f"Text number {n}: " + "of ships and of the sea, " * (n % 20) for n in range(200)]


async def begin(stack: Stack, key: str, query: str, variables: dict[str, Any]) -> ClientConnection:
    """Open a socket with one subscription."""
    socket = await connect(stack.websocket, subprotocols=PROTOCOLS)
    payload: dict[str, Any] = {"authorization": f"Bearer {key}"}
    await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
    payload = {"query": query, "variables": variables}
    await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
    return socket


async def next_frame(socket: ClientConnection) -> dict[str, Any] | None:
    """Return the next frame; None at the end."""
    async with asyncio.timeout(60):
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == "complete":
                return None
            if message["type"] == "next":
                assert "errors" not in message["payload"], message
                (frame,) = message["payload"]["data"].values()
                assert isinstance(frame, dict)
                return frame
            assert message["type"] in ("connection_ack", "ping"), message


@pytest.mark.long
async def test_a_batch_is_followed_through_the_death_of_the_api(
    stack: Stack, namespace: NamespaceOfTest
) -> None:
    """Killed with -9 in the middle; the cursor goes on at the seam, on the process after it."""
    query = operation("batchEvents")
    async with open_api(stack, namespace) as api:
        draft = await draft_texts(api, TEXTS)
        variables = {"batchId": draft.batch_id, "after": None}
        socket = await begin(stack, namespace.api_key, query, variables)
        frames = [await next_frame(socket)]
        await api.data(operation("submitBatch"), batchId=draft.batch_id)
        while len(frames) < 4:
            frames.append(await next_frame(socket))
    api_process = stack.processes["api"]
    assert api_process.pid is not None
    os.kill(api_process.pid, signal.SIGKILL)
    with contextlib.suppress(ConnectionClosed):
        while True:  # what was under way still arrives
            frames.append(await next_frame(socket))
    api_process.launch()
    api_process.await_ready()

    last = frames[-1]
    assert last is not None
    variables = {"batchId": draft.batch_id, "after": last["cursor"]}
    socket = await begin(stack, namespace.api_key, query, variables)
    while (frame := await next_frame(socket)) is not None:
        frames.append(frame)
    await socket.close()

    seen = [frame for frame in frames if frame is not None]
    assert seen[0]["__typename"] == "BatchSnapshot"
    assert {frame["__typename"] for frame in seen[1:]} == {"BatchEvents"}
    covered = [n for f in seen for n in range(f["fromSequence"], f["sequence"] + 1)]
    assert covered == list(range(1, covered[-1] + 1))
    types = [event["type"] for frame in seen[1:] for event in frame["events"]]
    assert types[:2] == ["batch.queued", "batch.processing"]
    assert types[-1] == "batch.completed"
    assert seen[-1]["batch"]["counts"]["documentsWritten"] == len(TEXTS)


async def test_the_list_shows_a_batch_run(stack: Stack, namespace: NamespaceOfTest) -> None:
    query, final = operation("batchesChanged"), {"status": ["COMPLETED"]}
    async with open_api(stack, namespace) as api:
        everything = await begin(stack, namespace.api_key, query, {})
        completed = await begin(stack, namespace.api_key, query, final)
        for socket in (everything, completed):
            first = await next_frame(socket)
            assert first is not None
            assert first["changes"] == []
        draft = await draft_texts(api, TEXTS[:5])
        started = time.monotonic()
        await api.data(operation("submitBatch"), batchId=draft.batch_id)

        entered = await next_frame(completed)
        assert time.monotonic() - started < 30
        statuses: list[str] = []
        while "COMPLETED" not in statuses:
            frame = await next_frame(everything)
            assert frame is not None
            statuses += [change["batch"]["status"] for change in frame["changes"]]
        for socket in (everything, completed):
            await socket.close()

    assert entered is not None
    assert [(c["kind"], c["batchId"]) for c in entered["changes"]] == [("ENTERED", draft.batch_id)]
    assert entered["changes"][0]["batch"]["counts"]["documentsWritten"] == 5
    # States that came and went between two frames are left out, never shown out of order.
    life = ["DRAFT", "QUEUED", "PROCESSING", "COMPLETED"]
    assert statuses == sorted(statuses, key=life.index)
