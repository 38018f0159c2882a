"""A client of the API, as a user writes one: operations over HTTP, batches followed by socket."""

import json
import time
from typing import Any, Final

import httpx
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.stack import Product

SUBMIT: Final = """mutation($id: ID!) {
  submitBatch(input: {batchId: $id}) { batch { status } userErrors { message } } }"""
CANCEL: Final = "mutation($id: ID!) { cancelBatch(input: {batchId: $id}) { batch { status } } }"
FOLLOW: Final = """subscription($id: ID!) { batchEvents(batchId: $id) {
  ... on BatchSnapshot { sequence } ... on BatchEvents { batch { status } } } }"""
_ENDED: Final = frozenset({"COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "CANCELED"})


class Client:
    """HTTP operations with one key."""

    def __init__(self, product: Product, http: httpx.AsyncClient, key: str) -> None:
        self.key = key
        self.websocket = f"{product.base_url.replace('http', 'ws', 1)}/graphql"
        self._endpoint = f"{product.base_url}/graphql"
        self._http = http

    async def data(self, query: str, **variables: Any) -> Any:
        """Return the data of an answer."""
        body = await self.answer(query, variables)
        if "errors" in body:
            raise RuntimeError(body["errors"])
        return body["data"]

    async def answer(self, query: str, variables: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Return a whole answer; `more` goes into the request beside the operation."""
        answer = await self._http.post(
            self._endpoint,
            json={"query": query, "variables": variables, **more},
            headers={"Authorization": f"Bearer {self.key}"},
        )
        body: dict[str, Any] = answer.json()
        return body

    async def submit(self, batch_id: str) -> float:
        """Submit a batch; return how long the answer took."""
        started = time.perf_counter()
        answer = (await self.data(SUBMIT, id=batch_id))["submitBatch"]
        if answer["userErrors"]:
            raise RuntimeError(answer["userErrors"])
        return time.perf_counter() - started

    async def cancel(self, batch_id: str) -> None:
        """Stop a batch, whatever it is doing."""
        await self.data(CANCEL, id=batch_id)

    async def run_to_end(self, batch_id: str) -> tuple[float, float]:
        """Submit a batch and follow it; return the seconds to the answer and to COMPLETED."""
        async with connect(self.websocket, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
            await self._subscribe(socket, batch_id)
            started = time.perf_counter()
            answered = await self.submit(batch_id)
            async for message in socket:
                frame = json.loads(message)
                if frame["type"] == "ping":
                    await socket.send('{"type":"pong"}')
                events = ((frame.get("payload") or {}).get("data") or {}).get("batchEvents") or {}
                status = (events.get("batch") or {}).get("status")
                if status in _ENDED:
                    if status != "COMPLETED":
                        raise RuntimeError(f"batch {batch_id} ended {status}: no time to speak of")
                    return answered, time.perf_counter() - started
        raise RuntimeError(f"the socket closed before batch {batch_id} ended")

    async def _subscribe(self, socket: ClientConnection, batch_id: str) -> None:
        payload = {"authorization": f"Bearer {self.key}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        await socket.recv()
        request = {"query": FOLLOW, "variables": {"id": batch_id}}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": request}))
        await socket.recv()  # the snapshot
