"""Which status and media type each kind of answer has over HTTP, in both profiles."""

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from graphql_api.transport.negotiation import EVENTS, GRAPHQL, JSON, MULTIPART
from models.settings import LimitSettings
from models.stores import Stores
from tests.fixtures.api import RunningApi, serve_api
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import run_batch

HELLO = "{ __typename }"
LIST = "query($n: Int) { batches(first: $n) { totalCount } }"
FOLLOW = "subscription($id: ID!) { batchEvents(batchId: $id) { sequence } }"
RENAME = 'mutation { createBucket(input: {name: "by-get"}) { bucket { id } } }'


@pytest.fixture(scope="module")
async def draft(stores: Stores) -> AsyncIterator[RunningApi]:
    """An API that answers by the draft's profile."""
    async with serve_api(stores, http_profile="draft") as running:
        yield running


async def send(
    api: RunningApi, body: Any, accept: str = GRAPHQL, key: str = "", **more: str
) -> Any:
    headers = {"content-type": JSON, "accept": accept, **more}
    if key:
        headers["authorization"] = f"Bearer {key}"
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await api.client.post(api.endpoint, content=content, headers=headers)


async def get(api: RunningApi, key: str, *, gated: bool = True, **parameters: str) -> Any:
    headers = {"authorization": f"Bearer {key}", "accept": GRAPHQL}
    if gated:
        headers["graphql-require-preflight"] = "1"
    return await api.client.get(api.endpoint, params=parameters, headers=headers)


TOO_MANY = "{ " + "__typename " * 21 + "}"
ONE = "query($id: ID!) { batch(id: $id) { id } }"
AS_JSON, ALWAYS = (400, 422, 200), (400, 400, 400)
MISTAKES: dict[str, tuple[Any, str, tuple[int, int, int]]] = {
    "shape": ({"query": 5}, "BAD_REQUEST", (400, 422, 400)),
    "parse": ({"query": "{"}, "GRAPHQL_PARSE_FAILED", (400, 400, 200)),
    "validation": ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED", AS_JSON),
    "limit": ({"query": TOO_MANY}, "GRAPHQL_VALIDATION_FAILED", AS_JSON),
    "name": ({"query": HELLO, "operationName": "B"}, "OPERATION_RESOLUTION_FAILURE", AS_JSON),
    "missing variable": ({"query": ONE}, "BAD_USER_INPUT", AS_JSON),
    "wrong variable": ({"query": LIST, "variables": {"n": "x"}}, "BAD_USER_INPUT", AS_JSON),
    "subscription": ({"query": FOLLOW, "variables": {"id": "b"}}, "BAD_REQUEST", ALWAYS),
}


@pytest.mark.parametrize(("body", "code", "statuses"), MISTAKES.values(), ids=MISTAKES)
async def test_a_request_error_has_a_status_and_no_data(
    api: RunningApi, draft: RunningApi, namespace: NamespaceOfTest, body: Any, code: str,
    statuses: tuple[int, int, int],
) -> None:  # fmt: skip
    key = namespace.api_key
    answers = [
        await send(api, body, GRAPHQL, key),
        await send(draft, body, GRAPHQL, key),
        await send(api, body, JSON, key),
    ]

    assert tuple(answer.status_code for answer in answers) == statuses
    for answer in answers:
        found = answer.json()
        assert "data" not in found
        assert found["errors"][0]["extensions"]["code"] == code
        assert found["errors"][0]["extensions"]["requestId"]


async def test_data_is_a_200_even_with_errors(api: RunningApi, namespace: NamespaceOfTest) -> None:
    query = "{ namespace { id } batches(first: 0) { totalCount } }"

    answer = await send(api, {"query": query}, GRAPHQL, namespace.api_key)

    assert (answer.status_code, answer.headers["vary"]) == (200, "accept")
    assert answer.headers["content-type"] == f"{GRAPHQL}; charset=utf-8"
    assert answer.json()["data"] == {"namespace": {"id": namespace.id}, "batches": None}


async def test_every_answer_says_what_it_cost(api: RunningApi, namespace: NamespaceOfTest) -> None:
    await run_batch(namespace)
    query = "{ batches(first: 50) { edges { node { id counts { documentsWritten } } } } }"

    answer = await send(api, {"query": query}, GRAPHQL, namespace.api_key)

    cost = answer.json()["extensions"]["cost"]
    assert (cost["requested"], cost["actual"]) == (151, 4)
    assert cost["limit"] - cost["remaining"] <= 10  # what was not used came back
    assert answer.headers["ratelimit-remaining"] == str(cost["remaining"])


async def test_a_get_is_gated_and_never_changes_anything(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    key = namespace.api_key

    assert (await get(api, key, gated=False, query=HELLO)).status_code == 403
    found = await get(api, key, query=LIST, variables='{"n": 1}')
    assert found.json()["data"] == {"batches": {"totalCount": 0}}
    for query in (RENAME, FOLLOW):
        refused = await get(api, key, query=query, variables='{"id": "b"}')
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    for wrong in ("{", "1", "[" * 5000):
        assert (await get(api, key, query=HELLO, variables=wrong)).status_code == 400
    assert (await get(api, key, query="#" * 20_000)).status_code == 414


async def test_a_mutation_by_get_is_refused_on_a_stream_too(api: RunningApi) -> None:
    headers = {"accept": EVENTS, "graphql-require-preflight": "1"}

    answer = await api.client.get(api.endpoint, params={"query": RENAME}, headers=headers)

    assert answer.status_code == 405


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", GRAPHQL])
async def test_another_content_type_is_unsupported(api: RunningApi, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}

    answer = await api.client.post(api.endpoint, content=b'{"query": "{a}"}', headers=headers)

    assert answer.status_code == 415
    assert answer.headers["content-type"] == f"{JSON}; charset=utf-8"


async def test_what_cannot_be_accepted_is_said_to_be_so(api: RunningApi) -> None:
    assert (await send(api, {"query": HELLO}, "text/html")).status_code == 406


async def test_a_bad_key_is_unauthenticated(api: RunningApi) -> None:
    answer = await send(api, {"query": HELLO}, key="nonsense")

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("accept", [f"{GRAPHQL}, {JSON}, {EVENTS}, {MULTIPART}", "*/*"])
async def test_a_query_is_answered_in_json_where_streams_are_listed_last(
    api: RunningApi, accept: str
) -> None:
    answer = await send(api, {"query": HELLO}, accept)

    assert answer.json()["data"] == {"__typename": "Query"}


async def test_spent_points_are_a_429_that_says_when_to_come_back(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    limits = LimitSettings(cost_bucket=10, cost_restored=1)
    async with serve_api(stores, limits=limits) as api:
        query = {"query": LIST, "variables": {"n": 1}}
        answers = [await send(api, query, JSON, namespace.api_key) for _ in range(12)]

    assert answers[0].status_code == 200
    refused = next(answer for answer in answers if answer.status_code != 200)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    (error,) = refused.json()["errors"]
    assert (error["extensions"]["code"], error["extensions"]["reason"]) == (
        "RATE_LIMITED", "KEY_COST_RATE",
    )  # fmt: skip


async def test_a_query_without_end_is_stopped(
    stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = asyncio.Event()

    async def count(*_: Any) -> int:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        return 0

    monkeypatch.setattr("models.scope.Scope.count", count)
    async with serve_api(stores, limits=LimitSettings(query_seconds=1)) as api:
        answer = await send(api, {"query": LIST}, GRAPHQL, namespace.api_key)

    assert stopped.is_set()
    assert answer.status_code == 503
    assert answer.json()["errors"][0]["extensions"]["code"] == "OPERATION_TIMEOUT"


async def test_a_query_ends_when_its_client_leaves(
    api: RunningApi, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def count(*_: Any) -> int:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        return 0

    monkeypatch.setattr("models.scope.Scope.count", count)
    sending = asyncio.create_task(send(api, {"query": LIST}, JSON, namespace.api_key))
    await begun.wait()

    sending.cancel()

    async with asyncio.timeout(20):
        await stopped.wait()


async def test_a_body_that_does_not_come_is_not_waited_for(stores: Stores) -> None:
    async with serve_api(stores, body_seconds=0.2) as api:
        host, port = api.base_url.removeprefix("http://").split(":")
        fields = f"host: {host}\r\ncontent-type: {JSON}\r\ncontent-length: 9"
        head = f"POST /graphql HTTP/1.1\r\n{fields}\r\n\r\n"
        reader, writer = await asyncio.open_connection(host, int(port), family=socket.AF_INET)
        writer.write(head.encode())
        async with asyncio.timeout(20):
            status = await reader.readline()
        writer.close()
        await writer.wait_closed()

    assert b" 408 " in status


async def test_json_nested_too_deeply_is_refused(api: RunningApi) -> None:
    deep = b'{"query": "{a}", "variables": {"a": ' + b"[" * 64 + b"]" * 64 + b"}}"

    answer = await send(api, deep)

    assert answer.status_code == 400
    assert "nested" in answer.json()["errors"][0]["message"]


async def test_documents_are_known_by_their_hash(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    digest = "51eea1cbc0e4d7dd5a1ad7da68a6dfd4d1f6fb0d6d8dd5a3d6d4f3f0b6f3a6d5"
    persisted = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    async with serve_api(stores, trusted_documents="prefer") as api:
        unknown = await send(api, {"extensions": persisted}, JSON, namespace.api_key)
        wrong = await send(api, {"query": HELLO, "extensions": persisted}, JSON, namespace.api_key)

    codes = [answer.json()["errors"][0]["extensions"]["code"] for answer in (unknown, wrong)]
    assert codes == ["PERSISTED_QUERY_NOT_FOUND", "BAD_REQUEST"]


async def test_what_may_still_be_spent_is_told_alike_everywhere(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    query = "{ rateLimit { cost limit remaining restoreRate resetAt } batches { totalCount } }"

    answer = await send(api, {"query": query}, GRAPHQL, namespace.api_key)

    told, cost = answer.json()["data"]["rateLimit"], answer.json()["extensions"]["cost"]
    assert (told["cost"], told["limit"]) == (cost["requested"], cost["limit"])
    assert told["restoreRate"] == cost["restoreRate"]
    assert 0 < told["remaining"] <= cost["remaining"]  # before what was not used came back
    assert told["resetAt"] is not None
    assert answer.headers["ratelimit-limit"] == str(told["limit"])


async def test_an_answer_to_a_listed_query_may_be_kept_until_it_changes(
    stores: Stores, namespace: NamespaceOfTest, tmp_path: Path
) -> None:
    listed, other = "{ buckets { edges { node { name } } } }", "{ batches { totalCount } }"
    (tmp_path / "buckets.graphql").write_text(listed)
    headers = {
        "authorization": f"Bearer {namespace.api_key}", "graphql-require-preflight": "1",
        "accept": GRAPHQL,
    }  # fmt: skip
    kept = {"documentId": hashlib.sha256(listed.encode()).hexdigest()}
    options = {"trusted_documents": "prefer", "trusted_documents_folder": tmp_path}
    async with serve_api(stores, **options) as api:

        async def ask(parameters: dict[str, str], **more: str) -> Any:
            return await api.client.get(
                api.endpoint, params=parameters, headers={**headers, **more}
            )

        first = await ask(kept)
        same = await ask(kept, **{"if-none-match": f'"other", {first.headers["etag"]}'})
        await api.caller(namespace.api_key).data(
            'mutation { createBucket(input: {name: "new"}) { bucket { id } } }'
        )
        changed = await ask(kept, **{"if-none-match": first.headers["etag"]})
        unlisted = await ask({"query": other})

    assert first.headers["cache-control"] == "private, no-cache"
    assert "authorization" in ", ".join(first.headers.get_list("vary"))
    assert (same.status_code, same.content) == (304, b"")
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]
    assert "etag" not in unlisted.headers
