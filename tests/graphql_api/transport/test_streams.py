"""Subscriptions over HTTP: framing, heartbeats, resuming, leaving, and a server that leaves."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from graphql_api.transport.negotiation import EVENTS, JSON, MULTIPART
from models.settings import LimitSettings
from models.stores import Stores
from tests.fixtures.api import RunningApi, serve_api
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import add_events, end_batch, run_batch

APOLLO = f"{MULTIPART};boundary=graphql;subscriptionSpec=1.0,{JSON}"
FOLLOW = """subscription($id: ID!, $after: String) {
  batchEvents(batchId: $id, after: $after) { __typename cursor sequence } }"""


_PATIENCE_SECONDS = 20


class Stream:
    """An open stream, read line by line as it comes."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._text = ""
        self._chunks = response.aiter_text()

    async def until(self, mark: str) -> str:
        """Return what comes up to a mark, the mark included."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while mark not in self._text:
                chunk = await anext(self._chunks, None)
                assert chunk is not None, (self.response.status_code, self._text)
                self._text += chunk
        found, _, self._text = self._text.partition(mark)
        return found + mark

    async def rest(self) -> str:
        """Return what comes up to the end."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async for chunk in self._chunks:
                self._text += chunk
        return self._text

    async def event(self) -> dict[str, str]:
        """Return the next event that is no comment, as its fields."""
        while True:
            block = (await self.until("\n\n")).strip("\n")
            if block and not block.startswith(":"):
                return dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)

    async def part(self) -> Any:
        """Return the next part that is no heartbeat."""
        while True:
            block = (await self.until("--graphql")).removesuffix("--graphql")
            head, _, body = block.partition("\r\n\r\n")
            if body and (found := json.loads(body)) != {}:
                assert head.strip() == "content-type: application/json; charset=utf-8"
                return found


@asynccontextmanager
async def open_stream(
    api: RunningApi, key: str, accept: str, query: str = FOLLOW, *, last: str = "", **variables: Any
) -> AsyncIterator[Stream]:
    headers = {"accept": accept, "authorization": f"Bearer {key}"}
    if last:
        headers["last-event-id"] = last
    body = {"query": query, "variables": variables}
    async with api.client.stream("POST", api.endpoint, json=body, headers=headers) as response:
        yield Stream(response)


def frame(event: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event["data"])["data"]["batchEvents"]
    return found


async def test_events_carry_their_cursor_and_the_end_is_said(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    async with open_stream(api, namespace.api_key, EVENTS, id=batch.id) as stream:
        first = await stream.event()
        await end_batch(stores, batch)
        second = await stream.event()
        rest = await stream.rest()

    assert stream.response.headers["content-type"] == f"{EVENTS}; charset=utf-8"
    assert stream.response.headers["cache-control"] == "no-cache, no-transform"
    assert [list(one) for one in (first, second)] == [["id", "event", "data"]] * 2
    assert [one["id"] for one in (first, second)] == [
        frame(one)["cursor"] for one in (first, second)
    ]
    assert frame(second)["__typename"] == "BatchEvents"
    assert rest == "event: complete\ndata:\n\n"
    assert "\r" not in rest


async def test_last_event_id_resumes(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    async with open_stream(api, namespace.api_key, EVENTS, id=batch.id) as stream:
        seen = await stream.event()
    last = await add_events(stores, batch, 3)

    resumed = open_stream(api, namespace.api_key, EVENTS, last=seen["id"], id=batch.id)
    async with resumed as stream:
        found = frame(await stream.event())

    assert (found["__typename"], found["sequence"]) == ("BatchEvents", last)


async def test_a_cursor_of_one_transport_works_on_the_others(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch, key = await run_batch(namespace), namespace.api_key
    async with open_stream(api, key, EVENTS, id=batch.id) as stream:
        cursor = (await stream.event())["id"]
    await add_events(stores, batch)
    async with open_stream(api, key, APOLLO, id=batch.id, after=cursor) as stream:
        part = (await stream.part())["payload"]["data"]["batchEvents"]
    await add_events(stores, batch)
    async with api.open_socket(key) as socket:
        await socket.subscribe(FOLLOW, {"id": batch.id, "after": part["cursor"]})
        message = await socket.next()

    assert (part["sequence"], message["sequence"]) == (2, 3)


async def test_a_multipart_body_is_framed_from_its_first_byte(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    async with open_stream(api, namespace.api_key, APOLLO, id=batch.id) as stream:
        assert await stream.until("--graphql") == "--graphql"
        first = await stream.part()
        await end_batch(stores, batch)
        second = await stream.part()
        rest = await stream.rest()

    kinds = [one["payload"]["data"]["batchEvents"]["__typename"] for one in (first, second)]
    assert kinds == ["BatchSnapshot", "BatchEvents"]
    assert rest == "--\r\n"


@pytest.mark.parametrize(
    ("accept", "beat"), [(EVENTS, ":\n\n"), (APOLLO, "\r\n\r\n{}\r\n--graphql")]
)
async def test_a_silent_stream_beats(
    stores: Stores, namespace: NamespaceOfTest, accept: str, beat: str
) -> None:
    batch = await run_batch(namespace)
    quick = {"heartbeat_seconds": 0.05, "multipart_heartbeat_seconds": 0.05}
    async with (
        serve_api(stores, **quick) as api,
        open_stream(api, namespace.api_key, accept, id=batch.id) as stream,
    ):
        for _ in range(4):
            await stream.until(beat)


@pytest.mark.parametrize("query", ["{ nothing }", "{", "subscription { batchEvents }"])
async def test_a_request_error_is_the_only_event(api: RunningApi, query: str) -> None:
    headers = {"accept": EVENTS}
    response = await api.client.post(api.endpoint, json={"query": query}, headers=headers)

    first, second = response.text.removeprefix(":\n\n").strip().split("\n\n")
    assert response.status_code == 200
    assert first.startswith("event: next\ndata: ")
    assert json.loads(first.partition("data: ")[2])["errors"][0]["extensions"]["requestId"]
    assert second == "event: complete\ndata:"


async def test_an_unknown_batch_is_an_error_and_the_end(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    async with open_stream(api, namespace.api_key, EVENTS, id="btc_nowhere") as stream:
        found = json.loads((await stream.event())["data"])
        await stream.rest()

    assert found["errors"][0]["extensions"]["reason"] == "NOT_FOUND"
    assert "data" not in found


async def test_a_query_may_be_answered_by_an_event(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    async with open_stream(api, namespace.api_key, EVENTS, "{ namespace { id } }") as stream:
        found = json.loads((await stream.event())["data"])

    assert found["data"] == {"namespace": {"id": namespace.id}}


async def subscribers(stores: Stores, namespace: NamespaceOfTest) -> int:
    channel = stores.bus.events_channel(namespace.id)
    ((_, count),) = await stores.bus.redis.pubsub_numsub(channel)
    return int(count)


async def until_subscribed(stores: Stores, namespace: NamespaceOfTest, count: int) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while await subscribers(stores, namespace) != count:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("accept", [EVENTS, APOLLO])
async def test_a_client_that_leaves_leaves_nothing_behind(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, accept: str
) -> None:
    batch = await run_batch(namespace)
    async with open_stream(api, namespace.api_key, accept, id=batch.id) as stream:
        await stream.until("BatchSnapshot")
        await until_subscribed(stores, namespace, 1)

    await until_subscribed(stores, namespace, 0)


async def test_a_caller_has_so_many_streams_and_no_more(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch, key = await run_batch(namespace), namespace.api_key
    async with (
        serve_api(stores, limits=LimitSettings(streams_per_caller=2)) as api,
        open_stream(api, key, EVENTS, id=batch.id) as one,
        open_stream(api, key, EVENTS, id=batch.id) as two,
    ):
        await one.event()
        await two.event()
        async with open_stream(api, key, EVENTS, id=batch.id) as three:
            refused = await three.response.aread()
        async with api.open_socket(init=False) as socket:
            payload = {"authorization": f"Bearer {key}"}
            await socket.send({"type": "connection_init", "payload": payload})
            code = await socket.closed()

    assert three.response.status_code == 429
    assert json.loads(refused)["errors"][0]["extensions"]["reason"] == "STREAMS_PER_CALLER"
    assert code == 1013


async def test_a_server_that_ends_sends_its_subscribers_elsewhere(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch, key = await run_batch(namespace), namespace.api_key
    async with (
        serve_api(stores) as api,
        open_stream(api, key, EVENTS, id=batch.id) as events,
        open_stream(api, key, APOLLO, id=batch.id) as parts,
        api.open_socket(key) as socket,
    ):
        await events.event()
        await parts.part()
        await socket.subscribe(FOLLOW, {"id": batch.id})
        await socket.next()

        draining = asyncio.create_task(api.drain())
        told, cut, code = await asyncio.gather(events.rest(), parts.rest(), socket.closed())
        await draining
        refused = await api.post({"query": "{ __typename }"})
        ready = await api.client.get(f"{api.base_url}/readyz")

    assert told.startswith("retry: ")
    assert "complete" not in told
    assert not cut.endswith("--\r\n")
    assert code == 1012
    assert (refused.status_code, ready.status_code) == (503, 503)
    assert refused.headers["retry-after"]


async def test_what_runs_is_finished_before_the_end(
    stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def count(*_: Any) -> int:
        begun.set()
        await go_on.wait()
        return 7

    monkeypatch.setattr("models.scope.Scope.count", count)
    async with serve_api(stores) as api:
        asking = asyncio.create_task(
            api.post({"query": "{ batches { totalCount } }"}, namespace.api_key)
        )
        await begun.wait()
        draining = asyncio.create_task(api.drain())
        await api.opened.draining.wait()
        assert not draining.done()
        go_on.set()
        answer = await asking
        await draining

    assert answer.json()["data"] == {"batches": {"totalCount": 7}}
