"""The websocket protocol graphql-transport-ws, and no other.

A frame that is not of the protocol closes the socket with the protocol's code; whatever goes wrong
in an operation ends that operation alone. Each operation has a context of its own, heartbeats are
messages that a browser can see, and the key is checked again for as long as the socket is open.
"""

import asyncio
import contextlib
import json
import logging
from json import JSONDecodeError
from typing import Any, Final

from graphql import OperationType
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.http.websocket_origin import is_same_origin, normalize_origin

from graphql_api.context import Context, Services
from graphql_api.errors import Refused
from graphql_api.operations.running import Answer, Operations, Ready
from graphql_api.operations.streaming import Subscription
from graphql_api.requests import read_json, write_json
from graphql_api.transport.bodies import Malformed, is_shallow, read_request
from graphql_api.transport.draining import Open, TooMany
from models.ending import end_tasks
from models.errors import StoreUnavailable, TooManyAttempts, Unauthenticated

PROTOCOL: Final = "graphql-transport-ws"
_GOING_AWAY: Final = 1012
_TRY_AGAIN_LATER: Final = 1013
_BAD_REQUEST: Final = 4400
_UNAUTHORIZED: Final = 4401
_FORBIDDEN: Final = 4403
_BAD_PROTOCOL: Final = 4406
_TIMEOUT: Final = 4408
_DUPLICATE: Final = 4409
_INIT_TWICE: Final = 4429
_INIT_SECONDS: Final = 5.0
_STUCK_SECONDS: Final = 30.0  # a peer that takes nothing for so long is given up
_LEFT: Final = (WebSocketDisconnect, OSError)
_ORIGIN: Final = b"origin"
logger = logging.getLogger(__name__)


class _Closed(Exception):
    """Ends the socket with a code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


async def serve_socket(
    websocket: WebSocket, operations: Operations, services: Services, opened: Open
) -> None:
    """Serve one websocket until it closes."""
    headers = dict(websocket.scope["headers"])
    if not _is_origin_allowed(headers, services.stores.settings.api.allowed_origins):
        await websocket.close()  # before it is accepted: a refused handshake
        return
    offered = PROTOCOL in websocket.scope["subprotocols"]
    await websocket.accept(subprotocol=PROTOCOL if offered else None)
    if not offered:
        await websocket.close(_BAD_PROTOCOL, "Subprotocol not acceptable")
    elif opened.draining.is_set():
        await websocket.close(_TRY_AGAIN_LATER, "Restarting")
    else:
        await _Socket(websocket, operations, services, opened).serve()


class _Socket:
    """One socket and its operations."""

    def __init__(
        self, websocket: WebSocket, operations: Operations, services: Services, opened: Open
    ) -> None:
        self._websocket = websocket
        self._operations = operations
        self._open = opened
        self._api = services.stores.settings.api
        client = websocket.scope.get("client")
        self._context = Context(services, address=client[0] if client else "")
        self._loop = asyncio.get_running_loop()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._heard = self._checked = self._loop.time()
        self._sending_since: float | None = None
        self._begun = self._acknowledged = False
        self._counted = contextlib.ExitStack()
        self._tending: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(_INIT_SECONDS, self._tend, self._expire)

    async def serve(self) -> None:
        """Take messages until the socket closes."""
        with self._open.socket(self._leave), self._counted:
            try:
                while True:
                    await self._take(await self._websocket.receive())
            except _Closed as end:
                await self._close(end.code, end.reason)
            except _LEFT:
                pass
            finally:
                self._timer.cancel()
                await self._stop_all()

    async def _take(self, message: Message) -> None:
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        self._heard = self._loop.time()
        found = _parse(message.get("text"))
        match found["type"]:
            case "connection_init":
                await self._begin(found.get("payload"))
            case "ping":
                payload = {"payload": found["payload"]} if "payload" in found else {}
                await self._send({"type": "pong", **payload})
            case "pong":
                pass
            case "subscribe":
                await self._subscribe(found)
            case "complete":
                await self._complete(_identity(found))
            case _:
                raise _Closed(_BAD_REQUEST, "Unknown message type")

    async def _begin(self, payload: Any) -> None:
        """Authenticate by the payload, whose keys may have any case."""
        if payload is not None and not isinstance(payload, dict):
            raise _Closed(_BAD_REQUEST, "Invalid connection init payload")
        if self._begun:
            raise _Closed(_INIT_TWICE, "Too many initialisation requests")
        self._begun = True
        self._timer.cancel()
        context = self._context
        given = {name.lower(): value for name, value in (payload or {}).items()}
        authorization = given.get("authorization")
        if authorization is not None and not isinstance(authorization, str):
            raise _Closed(_FORBIDDEN, "Forbidden")
        context.authorization = authorization
        await self._authenticate()
        caller = context.principal.key_id if context.principal else context.address
        try:
            self._counted.enter_context(self._open.counted(caller))
        except TooMany as error:
            raise _Closed(_TRY_AGAIN_LATER, "Too many sockets of this caller") from error
        await self._send({"type": "connection_ack"})
        self._acknowledged = True
        self._beat_later()

    async def _authenticate(self) -> None:
        try:
            await self._context.revalidate()
        except Unauthenticated as error:
            raise _Closed(_FORBIDDEN, "Forbidden") from error
        except (StoreUnavailable, TooManyAttempts) as error:
            logger.warning("A socket was not authenticated: %s", error.message)
            raise _Closed(_TRY_AGAIN_LATER, "Try again later") from error
        self._checked = self._loop.time()

    async def _subscribe(self, message: dict[str, Any]) -> None:
        identity = _identity(message)
        try:
            if not isinstance(message.get("payload"), dict):
                raise Malformed("There is no payload.")
            request = read_request(message["payload"])
        except Malformed as error:
            raise _Closed(_BAD_REQUEST, error.message) from error
        if "query" not in message["payload"] and not _is_by_hash(message["payload"]):
            raise _Closed(_BAD_REQUEST, "There is no query.")
        if not self._acknowledged:
            raise _Closed(_UNAUTHORIZED, "Unauthorized")
        if identity in self._running:
            raise _Closed(_DUPLICATE, "Subscriber already exists")
        context = self._context.fresh()
        try:
            if self._open.draining.is_set():
                raise _Closed(_TRY_AGAIN_LATER, "Restarting")
            self._require_room()
            ready = self._operations.prepare(request, context)
        except _Closed:
            raise
        except Exception as error:
            await self._fail(identity, error, context)
            return
        task = self._loop.create_task(self._run(identity, ready, context), name="operation")
        self._running[identity] = task

    def _require_room(self) -> None:
        limit = self._operations.limits.operations_per_socket
        if len(self._running) >= limit:
            raise Refused(
                "RATE_LIMITED", f"At most {limit} operations a socket.",
                reason="OPERATIONS_PER_SOCKET",
            )  # fmt: skip

    async def _run(self, identity: str, ready: Ready, context: Context) -> None:
        """Run one operation to its end."""
        try:
            await context.revalidate()
            if ready.kind is OperationType.SUBSCRIPTION:
                await self._follow(identity, ready, context)
            elif not await self._answer(identity, ready, context):
                return
            self._running.pop(identity, None)
            await self._send({"type": "complete", "id": identity})
        except _LEFT:
            self._running.pop(identity, None)
        except Exception as error:
            with contextlib.suppress(*_LEFT):
                await self._fail(identity, error, context)

    async def _answer(self, identity: str, ready: Ready, context: Context) -> bool:
        """Send the one result of a query or a mutation; return whether it ran."""
        with self._open.running():
            answer = await self._operations.run(ready, context)
            if not answer.ran:
                await self._send_error(identity, answer)
                return False
            await self._next(identity, write_json(answer.body()))
        return True

    async def _follow(self, identity: str, ready: Ready, context: Context) -> None:
        subscription = Subscription(self._operations, ready, context)
        head = _head_of(identity)
        async with subscription.frames() as frames:
            async for frame in frames:
                await self._send_text(f"{head}{frame.payload.decode()}}}")

    async def _next(self, identity: str, payload: bytes) -> None:
        await self._send_text(f"{_head_of(identity)}{payload.decode()}}}")

    async def _fail(self, identity: str, error: Exception, context: Context) -> None:
        await self._send_error(identity, self._operations.refuse(error, context))

    async def _send_error(self, identity: str, answer: Answer) -> None:
        """Say that an operation did not run; `complete` would say that it is finished."""
        self._running.pop(identity, None)
        await self._send(
            {"type": "error", "id": identity, "payload": [one.formatted for one in answer.errors]}
        )

    async def _complete(self, identity: str) -> None:
        task = self._running.pop(identity, None)
        if task is not None:
            await end_tasks(task)

    async def _stop_all(self) -> None:
        tasks = [*self._running.values()]
        if self._tending is not None and self._tending is not asyncio.current_task():
            tasks.append(self._tending)
        self._running.clear()
        await end_tasks(*tasks)

    async def _send(self, message: dict[str, Any]) -> None:
        await self._send_text(write_json(message).decode())

    async def _send_text(self, text: str) -> None:
        self._sending_since = self._sending_since or self._loop.time()
        await self._websocket.send({"type": "websocket.send", "text": text})
        self._sending_since = None

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(RuntimeError, *_LEFT):
            await self._websocket.close(code, reason[:100])

    async def _leave(self) -> None:
        await self._close(_GOING_AWAY, "Restarting")

    def _tend(self, duty: Any) -> None:
        """Do what a timer is for, in a task: timers themselves cannot wait."""
        self._tending = self._loop.create_task(duty(), name="tending")

    def _beat_later(self) -> None:
        self._timer = self._loop.call_later(self._api.heartbeat_seconds, self._tend, self._beat)

    async def _beat(self) -> None:
        """Ping; give up a peer that is silent or stuck; check the key when it is time."""
        now, seconds = self._loop.time(), self._api.heartbeat_seconds
        stuck = self._sending_since is not None and now - self._sending_since > _STUCK_SECONDS
        try:
            if stuck:
                raise _Closed(_TRY_AGAIN_LATER, "Too slow")
            if now - self._heard > 2 * seconds:
                raise _Closed(_TIMEOUT, "No answer to pings")
            if now - self._checked >= self._api.revalidate_seconds:
                await self._revalidate()
            await self._send({"type": "ping"})
        except _Closed as end:
            await self._close(end.code, end.reason)
            return
        except _LEFT:
            return
        self._beat_later()

    async def _revalidate(self) -> None:
        """Close on a key that opens nothing any more; a store that is away proves nothing."""
        try:
            await self._context.revalidate()
        except Unauthenticated as error:
            raise _Closed(_FORBIDDEN, "Forbidden") from error
        except (StoreUnavailable, TooManyAttempts) as error:
            logger.warning("A socket's key was not checked: %s", error.message)
        self._checked = self._loop.time()

    async def _expire(self) -> None:
        await self._close(_TIMEOUT, "Connection initialisation timeout")


def _parse(text: str | None) -> dict[str, Any]:
    """Return a well-formed message; raises _Closed."""
    if text is None:
        raise _Closed(_BAD_REQUEST, "Messages must be text")
    try:
        found = read_json(text)
    except JSONDecodeError as error:
        raise _Closed(_BAD_REQUEST, "Messages must be JSON") from error
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise _Closed(_BAD_REQUEST, "Malformed message")
    if not is_shallow(text, found):
        raise _Closed(_BAD_REQUEST, "Nested too deeply")
    return found


def _identity(message: dict[str, Any]) -> str:
    identity = message.get("id")
    if not isinstance(identity, str) or not identity:
        raise _Closed(_BAD_REQUEST, "Malformed id")
    return identity


def _head_of(identity: str) -> str:
    """Return how a result's message begins; its payload follows, and a brace."""
    return f'{{"id":{json.dumps(identity)},"type":"next","payload":'


def _is_by_hash(payload: dict[str, Any]) -> bool:
    return "documentId" in payload or "persistedQuery" in (payload.get("extensions") or {})


def _is_origin_allowed(headers: dict[bytes, bytes], allowed: tuple[str, ...]) -> bool:
    """Return whether a page of that origin may open a socket; programs have none."""
    if _ORIGIN not in headers:
        return True
    origin = headers[_ORIGIN].decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    return is_same_origin(origin, host) or normalize_origin(origin) in allowed
