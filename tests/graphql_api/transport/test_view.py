"""The endpoint over HTTP: what is refused before an operation runs, and in which form."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from graphql_api.requests import write_json
from tests.fixtures.api import RunningApi
from tests.fixtures.stores import NamespaceOfTest

MIB = 1024 * 1024
CREATE = """mutation($bucketId: ID!, $objects: [ObjectInput!]!) {
  createObjects(input: {bucketId: $bucketId, objects: $objects}) { createdCount }
}"""


def the_error(body: Any) -> dict[str, Any]:
    """Return the one error of a refusal, which has no data."""
    assert list(body) == ["errors"]
    (error,) = body["errors"]
    assert error["extensions"]["requestId"]
    found: dict[str, Any] = error
    return found


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"1", b'"x"', b"[]", b"\xff\xfe", b'{"query": "\xc3("}',
        b'{"query": NaN}', b'{"query": 5}', b'{"query": "{a}", "variables": [1]}',
        b'{"query": "{a}", "extensions": 1}', b'[{"query": "{__typename}"}]', b"{}",
        b"[" * 5000 + b"]" * 5000,
        b'{"query": "{__typename}", "variables": {"a": ' + b"9" * 5000 + b"}}",
    ],
    ids=[
        "empty", "cut", "null", "number", "string", "array", "no-utf8", "broken-utf8", "nan",
        "query-number", "variables-array", "extensions-number", "batch", "no-query", "deep",
        "digits",
    ],
)  # fmt: skip
async def test_a_malformed_body_is_a_bad_request(api: RunningApi, body: bytes) -> None:
    response = await api.post(body)

    assert response.status_code == 400, response.text
    assert the_error(response.json())["extensions"]["code"] == "BAD_REQUEST"


async def test_an_unknown_operation_name_is_said_to_be_one(api: RunningApi) -> None:
    response = await api.post({"query": "query A { __typename }", "operationName": "B"})

    assert the_error(response.json())["extensions"]["code"] == "OPERATION_RESOLUTION_FAILURE"


async def test_another_content_type_is_refused(api: RunningApi) -> None:
    response = await api.client.post(api.endpoint, content=b"query=1")

    assert 400 <= response.status_code < 500
    assert the_error(response.json())["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_get_and_post_are_served(api: RunningApi, method: str) -> None:
    response = await api.client.request(
        method, api.endpoint, params={"query": "{ __typename }"}, headers={"accept": "text/html"}
    )

    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    the_error(response.json())


async def test_a_subscription_by_plain_http_is_refused(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    query = {"query": "subscription { batchesChanged { cursor } }"}

    answer = (await api.post(query, namespace.api_key)).json()

    assert answer.get("data") is None
    assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert "graphql-transport-ws" in answer["errors"][0]["message"]


async def test_ten_megabytes_of_inline_text_are_too_many(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    blobs = [{"property": "text", "text": "x" * 10 * MIB}]
    variables = {"bucketId": "bkt_any", "objects": [{"blobs": blobs}]}

    response = await api.post({"query": CREATE, "variables": variables}, namespace.api_key)

    assert response.status_code == 413
    assert the_error(response.json())["extensions"]["reason"] == "BODY_TOO_LARGE"


async def test_a_body_of_undeclared_length_is_counted(api: RunningApi) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 * MIB:
            sent += 64 * 1024
            yield b" " * 64 * 1024
            await asyncio.sleep(0)

    response = await api.post(endless())

    assert response.status_code == 413
    assert the_error(response.json())["extensions"]["reason"] == "BODY_TOO_LARGE"


async def test_a_document_nested_too_deeply_is_refused_in_words(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    for query in ("{a" * 3000 + "}" * 3000, "{ bucket(id: " + "[" * 3000 + "]" * 3000 + ") {id} }"):
        answer = (await api.post({"query": query}, namespace.api_key)).json()

        (error,) = answer["errors"]
        assert "nested too deeply" in error["message"]
        assert error["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"


async def test_health_and_readiness_are_told(api: RunningApi) -> None:
    for path in ("/healthz", "/readyz"):
        response = await api.client.get(f"{api.base_url}{path}")
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_numbers_that_json_lacks_become_null() -> None:
    answer = {"data": {"a": [1.5, float("nan"), {"b": float("-inf")}], "c": "NaN", "d": "\ud800"}}

    assert json.loads(write_json(answer), parse_constant=pytest.fail) == {
        "data": {"a": [1.5, None, {"b": None}], "c": "NaN", "d": "\ud800"}
    }
