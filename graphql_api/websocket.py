"""The websocket protocol graphql-transport-ws as Strata speaks it.

Beyond the stock handler: a context for each operation, errors presented, request errors answered
for their operation only, heartbeats that a browser can see, refusal of malformed frames without
dropping the socket's peer.
"""

import asyncio
import contextlib
import logging
from typing import Any, Final

from graphql import GraphQLError
from starlette.websockets import WebSocketDisconnect
from starlette.websockets import WebSocketDisconnected as StarletteDisconnected
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
    Operation,
)
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    PongMessage,
    SubscribeMessage,
)
from strawberry.types.execution import ExecutionResult
from strawberry.utils.aio import aclosing

from graphql_api.context import Context
from graphql_api.errors import present
from models.errors import StoreUnavailable

_DEAD: Final = 4408
_TRY_AGAIN_LATER: Final = 1013
_GONE: Final = (WebSocketDisconnect, StarletteDisconnected, WebSocketDisconnected)
logger = logging.getLogger(__name__)


class SocketHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One socket."""

    async def handle(self) -> None:
        """Serve the socket, with heartbeats, until it closes."""
        self._heard = asyncio.get_running_loop().time()
        pulse = asyncio.create_task(self._pulse(self.context.stores.settings.api.heartbeat_seconds))
        try:
            await super().handle()
        finally:
            pulse.cancel()
            with contextlib.suppress(asyncio.CancelledError, *_GONE):
                await pulse

    async def handle_message(self, message: Any) -> None:
        """Take one message; anything but a well-formed one closes with 4400."""
        self._heard = asyncio.get_running_loop().time()
        if not _well_formed(message):
            await self.handle_invalid_message("Malformed message")
            return
        if message["type"] == "connection_init" and message.get("payload", {}) is None:
            message = {"type": "connection_init"}
        await super().handle_message(message)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Authenticate; a store that does not answer is no reason to give up for good."""
        try:
            await super().handle_connection_init(message)
        except StoreUnavailable as error:
            logger.warning("A socket was not authenticated: %s", error.message)
            await self.websocket.close(code=_TRY_AGAIN_LATER, reason="Try again later")

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Start an operation, unless the socket has too many already."""
        limit = self.max_subscriptions_per_connection
        fresh = self.connection_acknowledged and message["id"] not in self.operations
        if fresh and limit is not None and len(self.operations) >= limit:
            shown = {"code": "RATE_LIMITED", "reason": "OPERATIONS_PER_SOCKET"}
            error = GraphQLError(f"At most {limit} operations a socket.", extensions=shown)
            await self.send_message(
                {"id": message["id"], "type": "error", "payload": [error.formatted]}
            )
            return
        await super().handle_subscribe(message)

    async def handle_ping(self, message: Any) -> None:
        """Answer with the ping's payload."""
        pong: PongMessage = {"type": "pong"}
        if "payload" in message:
            pong["payload"] = message["payload"]
        await self.send_message(pong)

    async def run_operation(self, operation: Operation[Context, None]) -> None:
        """Run one operation in a context of its own; its failure ends only itself."""
        context = self.context.fresh()
        try:
            await context.revalidate()
            stream = await self.schema.stream(
                operation.query,
                variable_values=operation.variables,
                context_value=context,
                operation_name=operation.operation_name,
            )
            async with aclosing(stream):
                await self._send(operation, stream, context)
            await operation.send_operation_message({"id": operation.id, "type": "complete"})
        except _GONE:
            self.operations.pop(operation.id, None)
        except Exception as error:
            shown = present(
                GraphQLError(str(error), original_error=error), request_id=context.request_id
            )
            with contextlib.suppress(*_GONE):
                await operation.send_initial_errors([shown])

    async def _send(
        self, operation: Operation[Context, None], stream: Any, context: Context
    ) -> None:
        async for result in stream:
            if result.errors:
                result.errors = [
                    error
                    if "requestId" in (error.extensions or {})
                    else present(error, request_id=context.request_id)
                    for error in result.errors
                ]
            if result.data is None and not _has_path(result):
                # It never ran, or its source failed; `complete` would say that it is finished.
                await operation.send_initial_errors(result.errors or [])
                return
            await operation.send_next(result)

    async def _pulse(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(seconds)
            if loop.time() - self._heard > 2 * seconds:
                await self.websocket.close(code=_DEAD, reason="No answer to pings")
                return
            if self.connection_acknowledged:
                await self.send_message({"type": "ping"})


def _has_path(result: ExecutionResult) -> bool:
    return any(error.path for error in result.errors or [])


def _well_formed(message: Any) -> bool:
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return False
    if message["type"] not in ("subscribe", "complete"):
        return True
    identity = message.get("id")
    if not isinstance(identity, str) or not identity:
        return False
    return message["type"] == "complete" or _has_request(message.get("payload"))


def _has_request(payload: Any) -> bool:
    return (
        isinstance(payload, dict)
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("variables") or {}, dict)
        and isinstance(payload.get("operationName") or "", str)
    )
