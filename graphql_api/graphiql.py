"""The GraphiQL page and the static files behind it: content types, caching, security headers.

The browser libraries lie in static/vendor, so the page needs no internet access. What the page
does in the browser is in static/graphiql. The API itself is not here.
"""

from __future__ import annotations

import hashlib
import html
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from string import Template
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

STATIC: Final = Path(__file__).resolve().parent / "static"
PAGE: Final = STATIC / "graphiql" / "page.html"
VENDOR: Final = STATIC / "vendor"

# GraphiQL embeds its fonts and cursors as data: URLs, and CodeMirror sets style attributes.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "connect-src 'self'",
        "font-src 'self' data:",
        "img-src 'self' data:",
        "style-src 'self' 'unsafe-inline'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

REVALIDATE: Final = "no-cache"
FOREVER: Final = "public, max-age=31536000, immutable"  # a vendored folder carries its version

# Named here because the system's own table differs between machines, and nosniff makes it matter.
MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


def graphiql_routes(*, endpoint: str = "/graphql") -> list[BaseRoute]:
    """Build the routes of `/graphiql`, whose page talks to `endpoint`, and of `/static`."""
    return [
        Route("/graphiql", _page(endpoint), methods=["GET"], name="graphiql"),
        Mount("/static", StaticAssets(directory=STATIC), name="static"),
    ]


class StaticAssets(StaticFiles):
    """Files of `static/`, with their types fixed and vendored ones cached for good."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Answer with one file, or with 304 when the browser has it."""
        path = Path(full_path)  # resolved: symbolic links are not followed
        response = FileResponse(
            path,
            status_code=status_code,
            headers={**SECURITY_HEADERS, "cache-control": _cache_control(path)},
            media_type=MEDIA_TYPES.get(path.suffix, "text/plain"),
            stat_result=stat_result,
        )
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response


def _cache_control(path: Path) -> str:
    return FOREVER if path.parent.parent == VENDOR else REVALIDATE


def _page(endpoint: str) -> Callable[[Request], Awaitable[Response]]:
    text = Template(PAGE.read_text("utf-8")).substitute(endpoint=html.escape(endpoint))
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    headers = {**SECURITY_HEADERS, "cache-control": REVALIDATE, "etag": etag}

    async def page(request: Request) -> Response:
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return HTMLResponse(text, headers=headers)

    return page
