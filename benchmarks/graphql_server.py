"""The API beside what it is compared with, in one process on one uvicorn.

/graphql     the product
/stock       Strawberry's own view on the same schema
/bare        a Starlette route that returns a constant as JSON
/bare-list   a Starlette route that makes a page of batches into JSON by hand

`python -m benchmarks.graphql_server DATA PORT NAMESPACE` serves them; `Compared` starts that.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry.asgi import GraphQL

from benchmarks.stack import Product
from graphql_api.app import create_app
from graphql_api.commands.serving import DrainingServer
from graphql_api.context import Context, Services
from graphql_api.permissions import Principal
from graphql_api.scalars import DateTime
from graphql_api.schema import schema
from models.api_key import KeyScope
from models.batch import Batch
from models.embedded.loopback import free_port
from models.scope import Scope as NamespaceScope
from models.settings import load_settings

PAGE: Final = 100
_START_SECONDS: Final = 60


class StockView(GraphQL[Context, None]):
    """Strawberry's view, with the context that our resolvers need and no key to look up."""

    def __init__(self, services: Services, namespace_id: str) -> None:
        super().__init__(schema, graphql_ide=None)
        self._services = services
        self._principal = Principal("bench", namespace_id, frozenset(KeyScope))

    async def get_context(self, request: Any, response: Any) -> Context:
        """Return a context."""
        return Context(self._services, self._principal)


def compare(product: Starlette, namespace_id: str) -> ASGIApp:
    """Return the product with the others beside it."""
    stock: list[StockView] = []
    others = Starlette(
        routes=[
            Route("/bare", _constant),
            Route("/bare-list", partial(_page, namespace_id)),
        ]
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith("/bare"):
            await others(scope, receive, send)
        elif path == "/stock":
            if not stock:
                stock.append(StockView(product.state.services, namespace_id))
            await stock[0](scope, receive, send)
        else:
            await product(scope, receive, send)

    return app


async def _constant(_: Request) -> JSONResponse:
    return JSONResponse({"data": {"__typename": "Query"}})


async def _page(namespace_id: str, _: Request) -> Response:
    """Return what the compared query returns, from the same call of the database."""
    page = await NamespaceScope(namespace_id).page(Batch, {}, limit=PAGE, newest_first=True)
    edges = [{"node": _show(batch)} for batch in page.items]
    body = {"data": {"batches": {"edges": edges}}}
    return Response(orjson.dumps(body), media_type="application/json")


def _show(batch: Batch) -> dict[str, Any]:
    counts = batch.counts
    return {
        "id": batch.id,
        "name": batch.name,
        "status": batch.status,
        "sequence": batch.sequence,
        "bucketId": batch.bucket_id,
        "errorMessage": batch.error_message,
        "createdAt": _moment(batch.created_at),
        "updatedAt": _moment(batch.updated_at),
        "counts": {"objects": counts.objects, "documentsWritten": counts.documents_written},
    }


def _moment(value: Any) -> str:
    return str(DateTime(value).isoformat(timespec="milliseconds")).replace("+00:00", "Z")


@contextmanager
def compared(product: Product, namespace_id: str) -> Iterator[str]:
    """Serve them over a product's stores in a process of their own; gives their address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.graphql_server",
         str(product.data), str(port), namespace_id]
    )  # fmt: skip
    try:
        base_url = f"http://127.0.0.1:{port}"
        _await_ready(f"{base_url}/readyz")
        yield base_url
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


def _await_ready(url: str) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("the compared server does not start")


def main() -> None:
    """Serve until SIGTERM."""
    data, port, namespace_id = sys.argv[1:]
    settings = load_settings(Path(data))
    rich = settings.api.limits.model_copy(
        update={"cost_bucket": 10**9, "cost_restored": 10**8, "streams_per_caller": 10**6}
    )
    settings = settings.model_copy(update={"api": settings.api.model_copy(update={"limits": rich})})
    product = create_app(settings)
    config = uvicorn.Config(
        compare(product, namespace_id), port=int(port), ws="websockets-sansio",
        ws_per_message_deflate=False, log_level="warning", access_log=False,
    )  # fmt: skip
    DrainingServer(config, product.state.open, 1.0).run()


if __name__ == "__main__":
    main()
