"""The ASGI application: routes, and the stores, open for as long as it lives."""

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pymongo.errors import PyMongoError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from engine.plugins import allow_plugins
from engine.queries import QueryEncoder
from graphql_api.attempts import Attempts
from graphql_api.body_limit import BodyLimit
from graphql_api.console import console_routes
from graphql_api.context import Services
from graphql_api.graphiql import graphiql_routes
from graphql_api.operations.running import Operations
from graphql_api.pagination import Cursors
from graphql_api.permissions import Authenticator
from graphql_api.requests import refusal
from graphql_api.schema import schema
from graphql_api.transport.draining import Open
from graphql_api.transport.view import GraphQLView
from models.errors import StoreUnavailable, Unauthenticated
from models.settings import Settings, load_settings
from models.stores import open_stores

logger = logging.getLogger(__name__)


class _Endpoint:
    """Passes requests to the view that the lifespan made."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        view: GraphQLView = scope["app"].state.view
        await view(scope, receive, send)


def create_app(settings: Settings | None = None) -> Starlette:
    """Return the application; it connects when it starts, not before."""
    chosen = settings or load_settings()
    allow_plugins(chosen.extractors.plugins)
    opened = Open(chosen.api.limits.streams_per_caller)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_stores(chosen) as stores:
            key = chosen.admin_key
            secret = key.get_secret_value().encode() if key else secrets.token_bytes(32)
            encoder = QueryEncoder(chosen.cache, chosen.embeddings)
            attempts = Attempts(stores.bus, chosen.api.limits.failed_attempts)
            services = Services(stores, Authenticator(key, attempts), encoder, Cursors(secret))
            operations = Operations(schema._schema, stores.bus, chosen.api)
            app.state.view = GraphQLView(operations, services, opened)
            app.state.services = services
            app.state.stores = stores
            yield

    endpoint = _Endpoint()
    routes: list[BaseRoute] = [
        Route("/graphql", endpoint),
        WebSocketRoute("/graphql", endpoint),
        Route("/healthz", _alive),
        Route("/readyz", _ready),
        Route("/", _home),
        *console_routes(),
    ]
    if chosen.api.graphiql:
        routes += graphiql_routes()
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(BodyLimit, limit=chosen.api.max_body_bytes)],
        exception_handlers={
            Unauthenticated: _unauthenticated,
            StoreUnavailable: _unavailable,
            Exception: _failed,
        },
    )
    app.state.open = opened
    return app


async def _alive(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def _ready(request: Request) -> JSONResponse:
    if request.app.state.open.draining.is_set():
        return JSONResponse({"status": "draining"}, status_code=503)
    try:
        await request.app.state.stores.database.client.admin.command("ping")
    except (PyMongoError, OSError) as error:
        return JSONResponse({"status": type(error).__name__}, status_code=503)
    return JSONResponse({"status": "ok"})


async def _home(_: Request) -> RedirectResponse:
    return RedirectResponse("/console")


async def _unauthenticated(_: Request, error: Exception) -> Response:
    message = error.message if isinstance(error, Unauthenticated) else "Unauthenticated."
    return refusal(401, "UNAUTHENTICATED", message, headers={"WWW-Authenticate": "Bearer"})


async def _unavailable(_: Request, error: Exception) -> Response:
    message = error.message if isinstance(error, StoreUnavailable) else "Unavailable."
    return refusal(
        503, "INTERNAL_SERVER_ERROR", message,
        headers={"Retry-After": "5"}, reason="STORE_UNAVAILABLE",
    )  # fmt: skip


async def _failed(_: Request, error: Exception) -> Response:
    """Answer what nobody foresaw; the server logs the trace."""
    return refusal(500, "INTERNAL_SERVER_ERROR", "Internal server error")
