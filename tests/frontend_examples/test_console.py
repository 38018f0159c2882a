"""The status page as served: its files, its policy, its operations against the schema."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from graphql import build_schema, parse, validate
from starlette.applications import Starlette

from graphql_api.console import PAGE, console_routes
from graphql_api.graphiql import STATIC, graphiql_routes

CONSOLE = STATIC / "console"
ROOT = Path(__file__).resolve().parents[2]
ASSET = re.compile(r'(?:src|href)="(/static/[^"]+)"')
IMPORT = re.compile(r'from "\./([\w.]+)"')


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[*console_routes(), *graphiql_routes()])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


async def test_allows_nothing_inline_and_no_other_host(client: httpx.AsyncClient) -> None:
    answer = await client.get("/console")

    assert answer.headers["content-security-policy"] == (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    assert answer.headers["content-type"].startswith("text/html")
    assert re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", answer.text) is None


async def test_sends_every_asset_of_the_page(client: httpx.AsyncClient) -> None:
    urls = ASSET.findall((await client.get("/console")).text)

    assert len(urls) >= 5
    assert {(await client.get(url)).status_code for url in urls} == {200}


def test_names_no_other_host() -> None:
    texts = {path.name: path.read_text() for path in CONSOLE.iterdir()}

    assert {
        name for name, text in texts.items() if re.search(r"(https?:)?//\w+\.\w", text)
    } == set()


def test_imports_every_script_that_is_there() -> None:
    scripts = {path.name: path.read_text() for path in CONSOLE.glob("*.js")}

    imported = {name for text in scripts.values() for name in IMPORT.findall(text)}

    assert imported == scripts.keys() - {"console.js"}


def test_the_example_is_the_page_that_is_served() -> None:
    assert (ROOT / "frontend_examples/status_page/index.html").samefile(PAGE)


def test_every_operation_fits_the_schema() -> None:
    schema = build_schema((ROOT / "graphql_api/schema.graphql").read_text())
    source = (CONSOLE / "operations.js").read_text()
    parts = dict(re.findall(r"const (\w+) = `(.*?)`;", source, re.DOTALL))
    fragment = parts.pop("BATCH_LINE")

    texts = {name: text.replace("${BATCH_LINE}", fragment) for name, text in parts.items()}

    assert len(texts) >= 14
    assert {name: validate(schema, parse(text)) for name, text in texts.items()} == {
        name: [] for name in texts
    }
