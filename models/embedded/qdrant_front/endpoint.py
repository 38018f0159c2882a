"""Between a route and its handler: the body read, the envelope written, refusals answered."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from models.embedded.qdrant_front.collection import Collection
from models.embedded.qdrant_front.filters import Json
from models.embedded.qdrant_front.indexing import Indexer
from models.embedded.qdrant_front.refusals import Refusal, decoding
from models.embedded.qdrant_front.store import Store

log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Any]]
MAX_BODY = 32 << 20  # the server's own default: what fails there should fail here


def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        began = time.perf_counter()
        try:
            result = await handler(request)
        except Refusal as refusal:
            return failure(refusal.status, refusal.message)
        except Exception as error:
            log.exception("%s %s failed", request.method, request.url.path)
            return failure(500, f"Service internal error: {error}")
        return _json({"result": result, "status": "ok", "time": time.perf_counter() - began})

    return respond


def failure(status: int, message: str) -> Response:
    return _json({"status": {"error": message}, "time": 0.0}, status)


async def body_of(request: Request) -> Json:
    """The JSON object that was sent; an empty body counts as an empty object."""
    raw = await request.body()
    if len(raw) > MAX_BODY:
        raise Refusal(413, f"JSON payload is larger than allowed (limit: {MAX_BODY} bytes)")
    with decoding():
        body = orjson.loads(raw) if raw else {}
        if not isinstance(body, dict):
            raise TypeError("an object is expected")
    return body


def store_of(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


def indexer_of(request: Request) -> Indexer:
    indexer: Indexer = request.app.state.indexer
    return indexer


def name_of(request: Request) -> str:
    name: str = request.path_params["collection"]
    return name


def collection_of(request: Request) -> Collection:
    return store_of(request).get(name_of(request))


def _json(body: Json, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
