"""The GraphQL endpoint: which requests are operations, and how each is answered."""

import asyncio
import math
import secrets
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing
from typing import Final

from graphql import OperationType
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from graphql_api.context import Context, Services
from graphql_api.operations.running import EXPECTED, Answer, Operations, Ready, Request
from graphql_api.operations.streaming import Frame, Subscription
from graphql_api.requests import write_json
from graphql_api.transport.answers import (
    Profile,
    Refusal,
    is_known,
    send_answer,
    send_json,
    send_unchanged,
    tag_of,
)
from graphql_api.transport.bodies import Malformed, read_body, read_query_string
from graphql_api.transport.draining import Open, TooMany
from graphql_api.transport.negotiation import EVENTS, JSON, Accepted, Media, Stream, negotiate
from graphql_api.transport.streams import FRAMINGS, write_stream
from graphql_api.transport.websocket import serve_socket
from models.ending import end_tasks
from models.errors import StoreUnavailable, TooManyAttempts, Unauthenticated

_POST_ONLY: Final = ((b"allow", b"POST"),)
_BOTH: Final = ((b"allow", b"GET, POST"),)
_BEARER: Final = ((b"www-authenticate", b"Bearer"),)
_KEPT_BY_ITS_CALLER: Final = (
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"authorization"),
)
_LATER: Final = ((b"retry-after", b"5"),)
_URI_BYTES: Final = 16 * 1024
_NO_CACHE: Final = b"no-cache"
_PREFLIGHT: Final = b"graphql-require-preflight"
_STREAMED: Final = (
    "Subscriptions are streamed: accept text/event-stream or multipart/mixed, "
    "or use a websocket that speaks graphql-transport-ws."
)


class GraphQLView:
    """An ASGI application for one path."""

    def __init__(self, operations: Operations, services: Services, opened: Open) -> None:
        self._operations = operations
        self._services = services
        self._api = services.stores.settings.api
        self._open = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one websocket."""
        if scope["type"] == "websocket":
            socket = WebSocket(scope, receive, send)
            await serve_socket(socket, self._operations, self._services, self._open)
            return
        headers = dict(scope["headers"])
        try:
            await self._serve(scope, headers, receive, send)
        except Refusal as refusal:
            await _refuse(send, refusal)
        except Malformed as error:
            status = 422 if error.is_json and self._api.http_profile == "draft" else 400
            await _refuse(send, Refusal(status, "BAD_REQUEST", error.message))
        except Unauthenticated as error:
            await _refuse(send, Refusal(401, "UNAUTHENTICATED", error.message, _BEARER))
        except TooManyAttempts as error:
            wait = ((b"retry-after", str(math.ceil(error.retry_after)).encode()),)
            limited = Refusal(
                429, "RATE_LIMITED", error.message, wait, reason="FAILED_AUTHENTICATION"
            )
            await _refuse(send, limited)
        except StoreUnavailable as error:
            unavailable = Refusal(
                503, "INTERNAL_SERVER_ERROR", error.message, _LATER, reason="STORE_UNAVAILABLE"
            )
            await _refuse(send, unavailable)
        except ClientDisconnect:
            return

    async def _serve(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        if self._open.draining.is_set():
            raise Refusal(503, "INTERNAL_SERVER_ERROR", "Restarting.", _LATER, reason="DRAINING")
        if scope["method"] not in ("GET", "POST"):
            raise Refusal(405, "BAD_REQUEST", "Send operations by GET or POST.", _BOTH)
        accepted = _negotiated(headers)
        request = await self._read(scope, headers, receive)
        context = await self._context(scope, headers)
        media: Media = accepted.media or JSON
        try:
            ready = self._operations.prepare(request, context)
        except EXPECTED as error:
            await self._send_refused(send, error, context, accepted)
            return
        stream = _stream_of(ready, accepted, scope["method"])
        if stream is not None:
            await self._stream(send, receive, ready, context, stream)
            return
        with self._open.running():
            answer = await self._operations.run(ready, context, lambda: _gone(receive))
        if scope["method"] == "GET" and self._may_be_kept(ready, answer):
            await _send_kept(send, answer, media, headers, self._api.http_profile)
        else:
            await send_answer(send, answer, media, self._api.http_profile)

    def _may_be_kept(self, ready: Ready, answer: Answer) -> bool:
        """Tell whether a client may keep an answer: whole, and to a document on the list."""
        listed = self._operations.trusted.is_listed(ready.operation.document_hash)
        return listed and answer.ran and not answer.errors

    async def _read(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Request:
        if scope["method"] == "POST":
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if kind != b"application/json":
                raise Refusal(415, "BAD_REQUEST", "Send operations as application/json.")
            return read_body(await self._body(receive))
        if _PREFLIGHT not in headers:
            message = "A GET needs the header GraphQL-Require-Preflight, with any value."
            raise Refusal(403, "FORBIDDEN", message, reason="PREFLIGHT")
        if len(scope["query_string"]) > _URI_BYTES:
            raise Refusal(414, "BAD_REQUEST", "Send long operations by POST.")
        return read_query_string(scope["query_string"])

    async def _body(self, receive: Receive) -> bytes:
        """Read a body; how long it may be is watched outside, how slow it may be here."""
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._api.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    chunks.append(message.get("body", b""))
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError as error:
            raise Refusal(408, "BAD_REQUEST", "The body took too long.", reason="SLOW") from error

    async def _context(self, scope: Scope, headers: dict[bytes, bytes]) -> Context:
        authorization = headers.get(b"authorization")
        context = Context(self._services)
        context.address = scope["client"][0] if scope.get("client") else ""
        if authorization is not None:
            context.authorization = authorization.decode("latin-1")
            await context.revalidate()
        last = headers.get(b"last-event-id")
        context.last_event_id = last.decode("latin-1") if last else None
        trace = headers.get(b"traceparent")
        context.traceparent = trace.decode("latin-1") if trace else None
        context.bypass_cache = _NO_CACHE in headers.get(b"cache-control", b"").lower()
        return context

    async def _send_refused(
        self, send: Send, error: Exception, context: Context, accepted: Accepted
    ) -> None:
        """Answer what does not run: on an event stream as its only result, else by status."""
        answer = self._operations.refuse(error, context)
        if accepted.stream is None or not (accepted.stream_wins or accepted.media is None):
            await send_answer(send, answer, accepted.media or JSON, self._api.http_profile)
        else:
            await self._send_stream(send, _only(answer), accepted.stream)

    async def _stream(
        self, send: Send, receive: Receive, ready: Ready, context: Context, stream: Stream
    ) -> None:
        """Send a stream until it ends, its client leaves, or the server does."""
        caller = context.principal.key_id if context.principal else context.address
        try:
            with self._open.stream(caller):
                frames = self._frames(ready, context)
                await _until_gone(self._send_stream(send, frames, stream), receive)
        except TooMany as error:
            message = "This caller has too many streams open."
            raise Refusal(
                429, "RATE_LIMITED", message, _LATER, reason="STREAMS_PER_CALLER"
            ) from error

    async def _send_stream(
        self, send: Send, frames: AsyncGenerator[Frame, None], stream: Stream
    ) -> None:
        framing = FRAMINGS[stream]
        seconds = (
            self._api.heartbeat_seconds
            if stream == EVENTS
            else self._api.multipart_heartbeat_seconds
        )
        chunks = write_stream(frames, framing, seconds=seconds, leaving=self._open.draining)
        await send({"type": "http.response.start", "status": 200, "headers": framing.headers})
        async with aclosing(frames), aclosing(chunks):
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _frames(self, ready: Ready, context: Context) -> AsyncGenerator[Frame, None]:
        """Yield an operation's results; a failure is the last of them."""
        if ready.kind is not OperationType.SUBSCRIPTION:
            answer = await self._operations.run(ready, context)
            yield Frame(write_json(answer.body()), None)
            return
        try:
            subscription = Subscription(self._operations, ready, context)
            async with subscription.frames() as frames:
                async for frame in frames:
                    yield frame
        except Exception as error:
            answer = self._operations.refuse(error, context)
            yield Frame(write_json(answer.body()), None)


def _negotiated(headers: dict[bytes, bytes]) -> Accepted:
    accept = headers.get(b"accept")
    accepted = negotiate(None if accept is None else accept.decode("latin-1"))
    if accepted is None:
        raise Refusal(406, "BAD_REQUEST", "Accept application/graphql-response+json.")
    return accepted


def _stream_of(ready: Ready, accepted: Accepted, method: str) -> Stream | None:
    """Return the stream to send, if it is to be one; raises Refusal when the method forbids it."""
    streams = ready.kind is OperationType.SUBSCRIPTION
    if method == "GET" and (
        ready.kind is OperationType.MUTATION or (streams and accepted.stream is None)
    ):
        raise Refusal(405, "BAD_REQUEST", "Send this operation by POST.", _POST_ONLY)
    if streams and accepted.stream is None:
        raise Refusal(400, "BAD_REQUEST", _STREAMED, reason="STREAMING_NEEDED")
    wins = accepted.stream_wins or accepted.media is None
    return accepted.stream if streams or wins else None


async def _gone(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _only(answer: Answer) -> AsyncGenerator[Frame, None]:
    yield Frame(write_json(answer.body()), None)


async def _until_gone(sending: Coroutine[None, None, None], receive: Receive) -> None:
    """Send until the end, or until the client has left."""
    tasks = [asyncio.create_task(sending), asyncio.create_task(_gone(receive))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks(*tasks)
    if not tasks[0].cancelled():
        tasks[0].result()


async def _refuse(send: Send, refusal: Refusal) -> None:
    body = refusal.body(secrets.token_hex(8))
    await send_json(send, refusal.status, body, JSON, refusal.headers)


async def _send_kept(
    send: Send, answer: Answer, media: Media, headers: Mapping[bytes, bytes], profile: Profile
) -> None:
    """Send an answer that its client may keep and ask about again, or that it has it."""
    tag = tag_of(answer)
    extra = ((b"etag", tag), *_KEPT_BY_ITS_CALLER)
    if is_known(tag, headers):
        await send_unchanged(send, answer, extra)
    else:
        await send_answer(send, answer, media, profile, extra)
