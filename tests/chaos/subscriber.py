"""Follows a batch by websocket through any number of cut connections, with its last cursor."""

import asyncio
import json
from typing import Any, Final

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

_AGAIN_SECONDS: Final = 0.2
_FOLLOW: Final = """subscription($id: ID!, $after: String) {
  batchEvents(batchId: $id, after: $after) { __typename cursor fromSequence sequence
  ... on BatchEvents { events { sequence type } } } }"""


class Subscriber:
    """What one subscriber saw: `ranges` of (from, to), and every event by its number."""

    def __init__(self, base_url: str, key: str, batch_id: str) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.events: list[tuple[int, str]] = []
        self.discontinuities = 0
        self.connections = 0
        self._url = f"{base_url.replace('http', 'ws', 1)}/graphql"
        self._key = key
        self._batch_id = batch_id
        self._cursor: str | None = None

    async def follow(self) -> None:
        """Return when the server says that the batch is finished."""
        while True:
            try:
                if await self._once():
                    return
            except (OSError, WebSocketException, TimeoutError):
                pass
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _once(self) -> bool:
        async with connect(self._url, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
            self.connections += 1
            payload = {"authorization": f"Bearer {self._key}"}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            variables = {"id": self._batch_id, "after": self._cursor}
            request = {"query": _FOLLOW, "variables": variables}
            acknowledged = False
            while True:
                async with asyncio.timeout(40):  # pings come every 12 s: a silent socket is dead
                    message = json.loads(await socket.recv())
                if message["type"] == "connection_ack":
                    acknowledged = True
                    await socket.send(
                        json.dumps({"id": "1", "type": "subscribe", "payload": request})
                    )
                elif message["type"] == "ping":
                    await socket.send(json.dumps({"type": "pong"}))
                elif message["type"] == "next":
                    self._take(message["payload"])
                elif message["type"] == "complete":
                    return acknowledged
                elif message["type"] == "error":
                    return False

    def _take(self, payload: dict[str, Any]) -> None:
        frame = (payload.get("data") or {}).get("batchEvents")
        if frame is None:
            return
        self._cursor = frame["cursor"]
        first, last = int(frame["fromSequence"]), int(frame["sequence"])
        if frame["__typename"] == "BatchDiscontinuity":
            self.discontinuities += 1
        self.ranges.append((first, last))
        self.events += [(int(one["sequence"]), one["type"]) for one in frame.get("events", [])]
