"""GraphiQL as served: its files, their types and pins, caching and security headers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from graphql_api.graphiql import STATIC, VENDOR, graphiql_routes

POLICY = (
    "default-src 'self'; connect-src 'self'; font-src 'self' data:; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
EXTERNAL_URL = re.compile(r"""https?://|["'(]//\w""")


def make_client(*, endpoint: str = "/graphql") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Starlette(routes=graphiql_routes(endpoint=endpoint)))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with make_client() as client:
        yield client


class Assets(HTMLParser):
    """The files that a page loads, with their integrity attributes; and its inline scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.integrity: dict[str, str | None] = {}
        self.inline_scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.inline_scripts += tag == "script" and "src" not in found
        if tag in ("script", "link", "img") and (url := found.get("src") or found.get("href")):
            self.integrity[url] = found.get("integrity")


async def read_assets(client: httpx.AsyncClient) -> Assets:
    return Assets((await client.get("/graphiql")).text)


async def test_names_no_other_host(client: httpx.AsyncClient) -> None:
    served = (await client.get("/graphiql")).text

    assert EXTERNAL_URL.search(served) is None
    assert Assets(served).inline_scripts == 0


def test_own_files_name_no_other_host() -> None:
    own = [path for path in (STATIC / "graphiql").iterdir() if path.suffix != ".svg"]

    texts = {path.name: re.sub(r"^\s*//.*", "", path.read_text(), flags=re.M) for path in own}

    assert len(texts) >= 7
    assert {name for name, text in texts.items() if EXTERNAL_URL.search(text)} == set()


async def test_sends_every_asset_with_its_type(client: httpx.AsyncClient) -> None:
    urls = list((await read_assets(client)).integrity)

    answers = [await client.get(url) for url in urls]

    assert len(urls) >= 10
    assert [answer.status_code for answer in answers] == [200] * len(urls)
    sent = [answer.headers["content-type"].partition(";")[0] for answer in answers]
    assert sent == [TYPES[Path(url).suffix] for url in urls]


async def test_pins_every_vendored_asset(client: httpx.AsyncClient) -> None:
    assets = await read_assets(client)

    vendored = {url: pin for url, pin in assets.integrity.items() if "/vendor/" in url}

    assert len(vendored) == 7
    for url, pin in vendored.items():
        digest = hashlib.sha384((await client.get(url)).content).digest()
        assert pin == f"sha384-{base64.b64encode(digest).decode()}", url


def test_lists_every_vendored_file_with_its_hash() -> None:
    table = (VENDOR / "VENDORED.md").read_text()
    listed = dict(re.findall(r"\| `([\w./-]+)` \|.*\| `(\w{64})` \|", table))

    files = {path for path in VENDOR.rglob("*") if path.is_file() and path.parent != VENDOR}

    found = {str(f.relative_to(VENDOR)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
    assert listed == found


def test_keeps_a_licence_in_every_vendored_folder() -> None:
    without = [folder.name for folder in VENDOR.iterdir() if folder.is_dir()]
    without = [name for name in without if not list((VENDOR / name).glob("LICENSE*"))]

    assert without == []


@pytest.mark.parametrize("url", ["/graphiql", "/static/graphiql/page.js"])
async def test_sends_the_exact_security_policy(client: httpx.AsyncClient, url: str) -> None:
    headers = (await client.get(url)).headers

    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("url", "cached"),
    [
        ("/graphiql", "no-cache"),
        ("/static/graphiql/page.js", "no-cache"),
        ("/static/vendor/VENDORED.md", "no-cache"),
        (
            "/static/vendor/react-18.2.0/react.production.min.js",
            "public, max-age=31536000, immutable",
        ),
    ],
)
async def test_caches_only_versioned_files(
    client: httpx.AsyncClient, url: str, cached: str
) -> None:
    first = await client.get(url)
    again = await client.get(url, headers={"if-none-match": first.headers["etag"]})
    changed = await client.get(url, headers={"if-none-match": '"another"'})

    assert first.headers["cache-control"] == cached
    assert (again.status_code, again.content) == (304, b"")
    assert (changed.status_code, changed.content) == (200, first.content)


@pytest.mark.parametrize("path", ["../graphiql.py", "..%2fgraphiql.py", "vendor", "missing.js"])
async def test_serves_nothing_outside_its_folder(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(httpx.URL(f"http://127.0.0.1/static/{path}"))).status_code == 404


async def test_escapes_the_endpoint() -> None:
    async with make_client(endpoint='/api"><script>') as client:
        served = (await client.get("/graphiql")).text

    assert 'data-endpoint="/api&quot;&gt;&lt;script&gt;"' in served
