"""GraphiQL as used: every operation through its real editor, in a browser without the internet."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import strawberry
import uvicorn
from graphql import GraphQLError
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from graphql_api.graphiql import STATIC, graphiql_routes
from tests.browser import (
    Browser,
    BrowserError,
    ChromiumMissing,
    Page,
    open_browser,
    require_chromium,
)

KEY = "key_of-the-test"

Info = strawberry.Info[dict[str, Any], None]


def check_key(info: Info) -> None:
    """Accept the key where each transport carries it, and nowhere else."""
    if "connection_params" in info.context:
        typed = info.context["connection_params"].items()  # names as typed, in any case
        sent = {name.lower(): value for name, value in typed}.get("authorization")
    else:
        sent = info.context["request"].headers.get("authorization")
    if sent != f"Bearer {KEY}":
        raise GraphQLError("An API key is needed", extensions={"code": "UNAUTHENTICATED"})


@strawberry.type
class Query:
    @strawberry.field
    def bucket(self, info: Info) -> str:
        check_key(info)
        return "bkt_of_the_key"

    @strawberry.field
    def header(self, info: Info, name: str) -> str | None:
        value: str | None = info.context["request"].headers.get(name)
        return value


@strawberry.type
class Mutation:
    @strawberry.mutation
    def submit_batch(self, info: Info, batch_id: str) -> str:
        check_key(info)
        return f"{batch_id} submitted"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def progress(self, info: Info, to: int) -> AsyncIterator[int]:
        check_key(info)
        for step in range(1, to + 1):
            yield step
            await asyncio.sleep(0.05)

    @strawberry.subscription
    async def silence(self, info: Info) -> AsyncIterator[int]:
        """Say one thing, then nothing for longer than any test lasts."""
        Silence.listeners += 1
        try:
            yield 0
            await asyncio.sleep(3600)
        finally:
            Silence.listeners -= 1


class Silence:
    listeners = 0


def make_app() -> Starlette:
    api = GraphQL[dict[str, Any], None](
        strawberry.Schema(Query, Mutation, Subscription),
        graphql_ide=None,
        subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
    )
    routes = [Route("/graphql", api), WebSocketRoute("/graphql", api)]
    return Starlette(routes=[*graphiql_routes(), *routes])


@pytest.fixture(scope="module")
async def origin() -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(make_app(), log_level="error"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    require_chromium()
    async with open_browser() as browser:
        yield browser


@pytest.fixture
async def page(browser: Browser, origin: str) -> Page:
    page = await browser.new_page()
    await open_graphiql(page, origin)
    return page


async def open_graphiql(page: Page, origin: str) -> None:
    await page.goto(f"{origin}/graphiql")
    await page.wait_for("document.querySelector('.graphiql-query-editor .CodeMirror')", 20)
    await page.wait_for("document.querySelector('#connection').dataset.state === 'good'")


QUERY = "document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror"
HEADERS = "document.querySelectorAll('.graphiql-editor-tool .CodeMirror')[1].CodeMirror"
RESPONSE = "document.querySelector('.graphiql-response .CodeMirror').CodeMirror"
BAR_BRIGHTNESS = (
    "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3)"
    ".reduce((sum, part) => sum + Number(part), 0)"
)
CONNECTION = "document.querySelector('#connection').value"


async def run_operation(page: Page, operation: str, *, until: str) -> dict[str, Any]:
    """Type the operation, press the button, and return the response once it holds `until`."""
    text = json.dumps(operation)
    await page.evaluate(f"{QUERY}.setValue({text})")
    # GraphiQL parses a moment after the last key; before that it would run the old operation.
    await page.wait_for(f"{QUERY}.documentAST?.loc.source.body === {text}")
    await page.click(".graphiql-execute-button")
    response = f"{RESPONSE}.getValue()"
    found = await page.wait_for(f"{response}.includes({json.dumps(until)}) && {response}")
    answer: dict[str, Any] = json.loads(found)
    return answer


async def type_headers(page: Page, headers: dict[str, str]) -> None:
    await page.click(".graphiql-editor-tools button[data-name=headers]")
    await page.evaluate(f"{HEADERS}.setValue({json.dumps(json.dumps(headers))})")


async def test_runs_every_operation_with_the_typed_key(page: Page, origin: str) -> None:
    refused = await run_operation(page, "{ bucket }", until="UNAUTHENTICATED")
    assert [error["message"] for error in refused["errors"]] == ["An API key is needed"]
    assert await page.evaluate(CONNECTION) == "Key needed"

    await page.fill("#api-key", KEY)
    answered = await run_operation(page, "{ bucket }", until="data")
    assert answered == {"data": {"bucket": "bkt_of_the_key"}}
    answered = await run_operation(
        page, 'mutation { submitBatch(batchId: "btc_1") }', until="submitted"
    )
    assert answered == {"data": {"submitBatch": "btc_1 submitted"}}
    answered = await run_operation(page, "subscription { progress(to: 3) }", until='"progress": 3')
    assert answered == {"data": {"progress": 3}}

    assert await page.evaluate(CONNECTION) == "Connected"
    assert (page.console_errors, page.failed_requests) == ([], [])
    asked = [httpx.URL(url) for url in page.requested if not url.startswith("data:")]
    assert {url.netloc for url in asked} == {httpx.URL(origin).netloc}
    assert {url.scheme for url in asked} == {"http", "ws"}


async def test_refuses_a_subscription_without_key(page: Page) -> None:
    refused = await run_operation(page, "subscription { progress(to: 3) }", until="errors")

    assert [error["message"] for error in refused["errors"]] == ["An API key is needed"]
    assert await page.evaluate(CONNECTION) == "Key needed"


async def test_reads_the_schema_again_for_a_new_key(page: Page, origin: str) -> None:
    asked = page.requested.count(f"{origin}/graphql")

    await page.fill("#api-key", KEY)
    await page.press("Enter")

    await page.wait_for(f"{CONNECTION} === 'Connected'")
    assert page.requested.count(f"{origin}/graphql") == asked + 1


async def test_stops_a_silent_subscription(page: Page) -> None:
    await run_operation(page, "subscription { silence }", until='"silence": 0')
    assert Silence.listeners == 1

    await page.click(".graphiql-execute-button")

    async with asyncio.timeout(20):
        while Silence.listeners:
            await asyncio.sleep(0.05)


async def test_keeps_the_key_in_this_tab_only(page: Page, origin: str, browser: Browser) -> None:
    await page.fill("#api-key", KEY)
    await run_operation(page, "{ bucket }", until="data")
    kept = "JSON.stringify(localStorage)"
    # GraphiQL stores its tabs half a second later.
    stored = await page.wait_for(f"{kept}.includes('{{ bucket }}') && {kept}")

    assert KEY not in stored
    await open_graphiql(page, origin)
    assert await page.evaluate("document.querySelector('#api-key').value") == KEY
    await page.click("#forget-key")
    assert await page.evaluate("sessionStorage.length") == 0


async def test_sends_typed_headers_and_stores_none(page: Page) -> None:
    await type_headers(page, {"X-Probe": "typed-secret"})

    answered = await run_operation(page, '{ header(name: "x-probe") }', until="data")

    assert answered == {"data": {"header": "typed-secret"}}
    kept = "JSON.stringify({...localStorage, ...sessionStorage})"
    stored = await page.wait_for(f"{kept}.includes('x-probe') && {kept}")  # in the history
    await asyncio.sleep(1)
    stored += await page.evaluate(kept)
    assert "typed-secret" not in stored


async def test_prefers_a_typed_authorization_header(page: Page) -> None:
    await page.fill("#api-key", "key_wrong")
    await type_headers(page, {"Authorization": f"Bearer {KEY}"})

    queried = await run_operation(page, "{ bucket }", until="bkt")
    followed = await run_operation(page, "subscription { progress(to: 1) }", until="progress")

    assert queried == {"data": {"bucket": "bkt_of_the_key"}}
    assert followed == {"data": {"progress": 1}}


async def test_removes_headers_stored_earlier(page: Page, origin: str) -> None:
    tabs = {"tabs": [{"headers": "secret-1", "query": "{ a }"}], "activeTabIndex": 0}
    history = {"queries": [{"headers": "secret-2", "query": "{ b }"}]}
    stored = {
        "graphiql:headers": "secret-3",
        "graphiql:tabState": json.dumps(tabs),
        "strata:graphiql:queries": json.dumps(history),
        "graphiql:favorites": "{unreadable secret-4",
        "another": "kept",
    }
    await page.evaluate(f"Object.assign(localStorage, {json.dumps(stored)})")

    await open_graphiql(page, origin)

    left = await page.evaluate("JSON.stringify(localStorage)")
    assert "secret" not in left
    assert "{ b }" in left
    assert await page.evaluate("localStorage.another") == "kept"


async def test_takes_no_headers_from_the_address(page: Page, origin: str) -> None:
    headers = json.dumps({"X-Probe": "from-the-address"})
    await page.goto(str(httpx.URL(f"{origin}/graphiql", params={"headers": headers})))
    await page.wait_for("document.querySelector('.graphiql-query-editor .CodeMirror')", 20)

    answered = await run_operation(page, '{ header(name: "x-probe") }', until="data")

    assert answered == {"data": {"header": None}}


async def test_opens_a_starter_in_a_new_tab(page: Page) -> None:
    starter = json.loads((STATIC / "graphiql" / "starters.json").read_text())[-1]
    tabs = "document.querySelectorAll('.graphiql-tab').length"
    before = await page.evaluate(tabs)

    await page.click("[aria-label='Show Starters']")
    await page.click(".starters li:last-child button")

    await page.wait_for(f"{tabs} === {before + 1}")
    # The tab is there before the editor has its text.
    await page.wait_for(f"{QUERY}.getValue() === {json.dumps(starter['query'])}")


async def test_offers_every_readable_starter(page: Page) -> None:
    mixed: list[Any] = [
        {"query": "{ a }"},
        {"query": ""},
        {"title": "no query"},
        None,
        7,
        {"query": []},
    ]
    for text, count in [(json.dumps(mixed), 1), ("[]", 0), ("{}", 0), ("not JSON", 0)]:
        answer = f"new Response({json.dumps(text)})"
        found = await page.evaluate(
            "import('/static/graphiql/starters.js').then(({readStarters}) => {"
            f"const real = window.fetch; window.fetch = async () => {answer};"
            "return readStarters('any').finally(() => { window.fetch = real; }); })"
        )
        assert len(found) == count, text


async def test_shows_the_explorer(page: Page) -> None:
    await page.click("[aria-label='Show GraphiQL Explorer']")

    shown = "document.querySelector('.docExplorerWrap, .graphiql-explorer-root')"
    assert "bucket" in await page.wait_for(f"{shown} && {shown}.innerText")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_follows_the_system_theme(
    browser: Browser, origin: str, tmp_path: Path, dark: bool
) -> None:
    page = await browser.new_page(dark=dark)
    await open_graphiql(page, origin)
    await page.fill("#api-key", KEY)
    await run_operation(page, "{ bucket }", until="data")

    await page.screenshot(tmp_path / "graphiql.png")

    assert (await page.evaluate(BAR_BRIGHTNESS) < 3 * 64) is dark
    assert (tmp_path / "graphiql.png").read_bytes().startswith(b"\x89PNG")


async def test_colours_the_bar_by_the_chosen_theme(page: Page) -> None:
    await page.click("[aria-label='Open settings dialog']")
    await page.click("[data-theme=dark]")
    await page.press("Escape")

    await page.wait_for("document.body.classList.contains('graphiql-dark')")
    assert await page.evaluate(BAR_BRIGHTNESS) < 3 * 64
    assert page.console_errors == []


async def test_reaches_nothing_but_this_machine(browser: Browser) -> None:
    page = await browser.new_page()

    for url in ("http://example.com/", "http://192.0.2.1/"):
        with pytest.raises(BrowserError, match="ERR_NAME_NOT_RESOLVED"):
            await page.goto(url)


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", ChromiumMissing), ("", pytest.skip.Exception)], ids=["CI", "desk"]
)
def test_skips_without_chromium_only_at_a_desk(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CI", ci)

    with pytest.raises(outcome, match="chromium"):
        require_chromium()
