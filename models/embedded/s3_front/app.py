"""The application: verify a request, find its operation, run it, answer.

Nothing here knows what an operation does. Plain operations run in threads; an error of any kind
leaves as S3 XML. Starlette's router is left out: it decodes paths, and a key may hold anything.
"""

import asyncio
import logging
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from models.embedded.s3_front.browser_form import is_form
from models.embedded.s3_front.call import Call
from models.embedded.s3_front.cors import cors_headers, preflight
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.markup import error_reply
from models.embedded.s3_front.receiving import read_document
from models.embedded.s3_front.routes import (
    find_operation,
    find_streaming,
    find_subresource,
    find_target,
)
from models.embedded.s3_front.signature import verify
from models.embedded.s3_front.store import Store
from models.embedded.s3_front.wire import read_wire, split_path

HEALTH: Final = "/-/health"  # no bucket can be named "-"
log = logging.getLogger(__name__)


class Front:
    """The whole application; `keys` maps access keys to their secrets."""

    def __init__(self, store: Store, keys: Mapping[str, str]) -> None:
        self._store = store
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == HEALTH:
            await PlainTextResponse("ok")(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        request_id = secrets.token_hex(8).upper()
        try:
            response = await self._answer_or_refuse(request, request_id)
        except ClientDisconnect:
            return
        if "origin" in request.headers:
            response.headers.update(await asyncio.to_thread(cors_headers, self._store, request))
        response.headers["x-amz-request-id"] = request_id
        await response(scope, receive, send)

    async def _answer_or_refuse(self, request: Request, request_id: str) -> Response:
        try:
            return await self._answer(request)
        except ClientDisconnect:
            raise
        except S3Error as error:
            return refuse(request, error, request_id)
        except Exception:
            log.exception("request %s failed: %s %s", request_id, request.method, request.url.path)
            return refuse(request, S3Error("InternalError"), request_id)

    async def _answer(self, request: Request) -> Response:
        wire = read_wire(request.scope)
        if wire.method == "OPTIONS":  # a browser asks before it signs
            return await asyncio.to_thread(preflight, self._store, request)
        bucket, key = split_path(wire.raw_path)
        # A browser form carries its own proof, which its operation checks.
        proof = None if is_form(wire) else verify(wire, self._keys, datetime.now(UTC))
        call = Call(
            request=request,
            store=self._store,
            proof=proof,
            secrets=self._keys,
            bucket=bucket,
            key=key,
            query=wire.query,
        )
        target = find_target(bucket, key)
        subresource = find_subresource(wire.query, wire.headers)
        if streaming := find_streaming(target, subresource, wire.method):
            return await streaming(call)
        operation = find_operation(target, subresource, wire.method)
        document = await read_document(call)
        return await asyncio.to_thread(operation, replace(call, document=document))


def refuse(request: Request, error: S3Error, request_id: str) -> Response:
    if request.method == "HEAD" or error.status == 304:
        return Response(status_code=error.status, headers=error.headers)
    return error_reply(error, resource=request.url.path, request_id=request_id)
