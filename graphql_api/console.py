"""The status page at `/console`: one page of plain JavaScript over the public GraphQL API.

Its files are in static/console and served with the rest of `/static`. Nothing here knows about
batches: whatever the page shows, any client could read.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from graphql_api.graphiql import REVALIDATE, SECURITY_HEADERS, STATIC

PAGE: Final = STATIC / "console" / "index.html"

# Stricter than GraphiQL's: nothing inline, nothing embedded. 'self' covers the websocket.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    **SECURITY_HEADERS,
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cache-control": REVALIDATE,
}


def console_routes() -> list[BaseRoute]:
    """Build the route of `/console`; its scripts and styles come with those of `/static`."""
    return [Route("/console", _page, methods=["GET"], name="console")]


async def _page(request: Request) -> Response:
    return FileResponse(PAGE, headers=HEADERS, media_type="text/html")
