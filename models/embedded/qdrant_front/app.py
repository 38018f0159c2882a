"""The front as one ASGI application: health, the API key, the routes, the background work."""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from models.embedded.qdrant_front import collection_routes, point_routes, query_routes
from models.embedded.qdrant_front.endpoint import endpoint, failure
from models.embedded.qdrant_front.indexing import Indexer
from models.embedded.qdrant_front.refusals import Refusal
from models.embedded.qdrant_front.store import Store

VERSION = "1.20.0"  # of the REST API spoken here; the client compares it with its own
OPEN_PATHS = {"/", "/readyz", "/healthz", "/livez"}


def create_app(data: Path, api_key: str | None) -> ASGIApp:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        store = Store(data)
        store.open()
        app.state.store, app.state.indexer = store, Indexer(store)
        background = asyncio.create_task(app.state.indexer.run())
        yield
        background.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await background
        store.close()

    health = [Route(path, _ready) for path in sorted(OPEN_PATHS - {"/"})]
    routes = [Route("/", _version), *health, *collection_routes.ROUTES, *point_routes.ROUTES]
    unsupported = Route("/{path:path}", endpoint(_unsupported), methods=METHODS)
    app = Starlette(routes=[*routes, *query_routes.ROUTES, unsupported], lifespan=lifespan)
    return app if api_key is None else RequireKey(app, api_key)


METHODS = ["GET", "PUT", "POST", "PATCH", "DELETE"]


async def _ready(_: Request) -> Response:
    return PlainTextResponse("all shards are ready")


async def _version(_: Request) -> Response:
    return JSONResponse({"title": "qdrant - vector search engine", "version": VERSION})


async def _unsupported(request: Request) -> None:
    path = request.url.path
    if "snapshot" in path:
        raise Refusal(501, "Not implemented: the embedded server has no snapshots")
    raise Refusal(404, f"Not found: the embedded server has no {request.method} {path}")


class RequireKey:
    """Lets a request through when it carries the API key; health needs none."""

    def __init__(self, app: ASGIApp, api_key: str) -> None:
        self._app = app
        self._key = api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._accepts(scope):
            await self._app(scope, receive, send)
            return
        refusal = failure(401, "Unauthorized: must provide a valid API key")
        await refusal(scope, receive, send)

    def _accepts(self, scope: Scope) -> bool:
        headers = dict(scope["headers"])
        given = headers.get(b"api-key") or headers.get(b"authorization", b"").removeprefix(
            b"Bearer "
        )
        return hmac.compare_digest(given, self._key)
