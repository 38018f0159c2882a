"""What a client sees of a failure: a code and a request id, never the text of an exception."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import ServerSelectionTimeoutError

import models.scope
from graphql_api.errors import UserErrorCode, user_error
from models.api_key import ApiKey
from models.errors import (
    ArtifactCorrupt,
    Conflict,
    Forbidden,
    InvalidInput,
    RayUnavailable,
    StoreUnavailable,
    StrataError,
    Unauthenticated,
)
from models.stores import Stores
from tests.fixtures.api import RunningApi, serve_api
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import run_batch

SECRET = "mongodb://root:hunter2@10.0.0.7"
EVENTS = "subscription($id: ID!) { batchEvents(batchId: $id) { sequence } }"


class Unforeseen(Exception):
    """Something that nobody thought of."""


@pytest.fixture
def broken_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading one item fails with a text that must not get out."""

    async def find(*_: Any) -> None:
        raise Unforeseen(SECRET)

    monkeypatch.setattr(models.scope.Scope, "find", find)


def assert_masked(answer: dict[str, Any], log: pytest.LogCaptureFixture) -> None:
    (error,) = answer["errors"]
    assert error["message"] == "Internal server error"
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert SECRET not in json.dumps(answer)
    (record,) = [r for r in log.records if error["extensions"]["requestId"] in r.getMessage()]
    assert record.exc_info
    assert isinstance(record.exc_info[1], Unforeseen)


@pytest.mark.parametrize(
    "query",
    [
        '{ bucket(id: "b") { id } }',
        '{ planBatch(batchId: "b") { plan { rows } } }',
        'mutation { cancelBatch(input: {batchId: "b"}) { batch { id } } }',
    ],
)
async def test_an_unforeseen_failure_is_masked_and_logged(
    caller: GraphQL, broken_store: None, caplog: pytest.LogCaptureFixture, query: str
) -> None:
    answer = await caller.answer(query)

    assert set(answer["data"].values()) == {None}
    assert_masked(answer, caplog)


async def test_a_stream_that_fails_is_masked_and_logged(
    api: RunningApi,
    namespace: NamespaceOfTest,
    broken_store: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(EVENTS, {"id": "btc_any"})

        message = await socket.receive()

        assert message["type"] == "error"
        assert_masked({"errors": message["payload"]}, caplog)


async def test_one_failed_field_leaves_its_neighbours_alone(
    caller: GraphQL, namespace: NamespaceOfTest, broken_store: None
) -> None:
    answer = await caller.answer('{ namespace { id } bucket(id: "b") { id } }')

    assert answer["data"] == {"namespace": {"id": namespace.id}, "bucket": None}


async def test_what_a_caller_did_wrong_is_not_logged(
    caller: GraphQL, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await caller.answer('{ bucket(id: "b", secret: "hunter2") { id } }')
        await caller.answer("query($a: ID!) { bucket(id: $a) { id } }", a={"password": "hunter2"})

    assert "hunter2" not in caplog.text


async def test_a_store_that_is_gone_is_said_to_be_unavailable(
    stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys' collection and the client of a second API lead to a port where nobody listens."""
    nowhere: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        "mongodb://127.0.0.1:1", serverSelectionTimeoutMS=100
    )
    collection = nowhere["strata"]["api_keys"]
    database = replace_client(stores, nowhere)
    async with nowhere, serve_api(replace(stores, database=database)) as api:
        monkeypatch.setattr(ApiKey, "get_pymongo_collection", lambda: collection)

        response = await api.post({"query": "{ namespace { id } }"}, namespace.api_key)
        ready = await api.client.get(f"{api.base_url}/readyz")
        async with api.open_socket(init=False) as socket:
            payload = {"authorization": f"Bearer {namespace.api_key}"}
            await socket.send({"type": "connection_init", "payload": payload})
            code = await socket.closed()

    assert (response.status_code, ready.status_code, code) == (503, 503, 1013)
    (error,) = response.json()["errors"]
    assert error["extensions"]["reason"] == "STORE_UNAVAILABLE"
    assert "127.0.0.1" not in response.text + ready.text


def replace_client(stores: Stores, client: AsyncMongoClient[dict[str, Any]]) -> Any:
    return type(stores.database)(client, stores.settings.mongo.database)


async def test_a_database_that_fails_in_a_resolver_is_masked(
    caller: GraphQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find(*_: Any) -> None:
        raise ServerSelectionTimeoutError(SECRET)

    monkeypatch.setattr(models.scope.Scope, "find", find)

    answer = await caller.answer('{ bucket(id: "b") { id } }')

    (error,) = answer["errors"]
    assert error["message"] == "Internal server error"
    assert error["extensions"]["reason"] == "STORE_UNAVAILABLE"
    assert SECRET not in json.dumps(answer)


MISTAKES = {
    "field": "{ bucke(id: 1) { id } }",
    "subfield": "{ bucket(id: 1) { nam } }",
    "argument": "{ bucket(idd: 1) { id } }",
    "type": "query($a: BatchFiltr) { batches(filter: $a) { totalCount } }",
    "fragment type": "{ bucket(id: 1) { ...on Buckt { id } } }",
    "input field": "{ batches(filter: {statuss: [DRAFT]}) { totalCount } }",
    "enum value": "{ batches(filter: {status: [DRAFTS]}) { totalCount } }",
    "directive": "{ bucket(id: 1) @skipp(if: true) { id } }",
    "one-of": '{ searchDocuments(collectionId: 1, query: {tex: "a"}) { tookMs } }',
}
WRONG_VARIABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "missing": ("query($a: ID!) { bucket(id: $a) { id } }", {}),
    "type": ("query($a: ID!) { bucket(id: $a) { id } }", {"a": {"password": "hunter2"}}),
    "enum value": (
        "query($a: [BatchStatus!]) { batches(filter: {status: $a}) { totalCount } }",
        {"a": ["DRAFTS"]},
    ),
    "input field": (
        "query($a: BatchFilter) { batches(filter: $a) { totalCount } }",
        {"a": {"statuss": "hunter2"}},
    ),
    "one-of": (
        "query($a: SearchQueryInput!) { searchDocuments(collectionId: 1, query: $a) { tookMs } }",
        {"a": {"text": "hunter2", "vector": [1]}},
    ),
    "huge integer": (
        "query($a: Int) { buckets(first: $a) { totalCount } }",
        {"a": 10**30},
    ),
}


@pytest.mark.parametrize("query", MISTAKES.values(), ids=MISTAKES)
async def test_a_document_that_does_not_fit_is_refused_without_suggestions(
    caller: GraphQL, query: str
) -> None:
    answer = await caller.answer(query)

    assert answer.get("data") is None
    assert {e["extensions"]["code"] for e in answer["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}
    assert "Did you mean" not in json.dumps(answer)
    assert all(error["extensions"]["requestId"] for error in answer["errors"])


@pytest.mark.parametrize(("query", "variables"), WRONG_VARIABLES.values(), ids=WRONG_VARIABLES)
async def test_a_variable_that_does_not_fit_is_the_callers_mistake(
    caller: GraphQL, query: str, variables: dict[str, Any]
) -> None:
    answer = await caller.answer(query, **variables)

    assert answer.get("data") is None
    assert {e["extensions"]["code"] for e in answer["errors"]} == {"BAD_USER_INPUT"}
    assert "Did you mean" not in json.dumps(answer)
    assert "hunter2" not in json.dumps(answer)


@pytest.mark.parametrize("field", ["bucket", "collection", "batch", "task", "document"])
async def test_an_id_that_is_no_unicode_names_nothing(
    api: RunningApi, namespace: NamespaceOfTest, field: str
) -> None:
    query = f"query($a: ID!) {{ {field}(id: $a) {{ id }} }}"

    response = await api.post({"query": query, "variables": {"a": "\ud800"}}, namespace.api_key)

    for error in response.json().get("errors", []):
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["extensions"]["reason"] == "INVALID_INPUT"
    assert response.json()["data"] == {field: None}


def all_errors(kind: type[StrataError] = StrataError) -> set[type[StrataError]]:
    return {kind}.union(*(all_errors(child) for child in kind.__subclasses__()))


def test_each_code_of_the_schema_is_one_of_an_error() -> None:
    codes = {kind.code for kind in all_errors()}

    assert {code.name for code in UserErrorCode} <= codes


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("m", path=["a", "0"], hint="h"), UserErrorCode.INVALID_INPUT),
        (StoreUnavailable("m"), UserErrorCode.UNAVAILABLE),
        (RayUnavailable("m"), UserErrorCode.UNAVAILABLE),
        (Conflict("m"), UserErrorCode.CONFLICT),
        (ArtifactCorrupt("m"), UserErrorCode.CONFLICT),
    ],
)
def test_an_expected_failure_keeps_its_meaning(error: StrataError, code: UserErrorCode) -> None:
    shown = user_error(error)

    assert (shown.code, shown.message, tuple(shown.path), shown.hint) == (
        code, error.message, error.path, error.hint,
    )  # fmt: skip


@pytest.mark.parametrize("error", [Unauthenticated("m"), Forbidden("m")])
def test_missing_rights_are_no_user_error(error: StrataError) -> None:
    with pytest.raises(type(error)):
        user_error(error)


async def test_the_log_of_a_running_stream_survives_a_failing_field(
    api: RunningApi,
    stores: Stores,
    namespace: NamespaceOfTest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = await run_batch(namespace)
    query = """subscription($id: ID!) {
      batchEvents(batchId: $id) { sequence ... on BatchSnapshot { batch { bucket { id } id } } }
    }"""

    async def find_many(*_: Any) -> None:
        raise Unforeseen(SECRET)

    monkeypatch.setattr(models.scope.Scope, "find_many", find_many)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(query, {"id": batch.id})

        message = await socket.receive()

    assert message["type"] == "next"
    assert message["payload"]["data"]["batchEvents"]["batch"] == {"bucket": None, "id": batch.id}
    assert message["payload"]["errors"][0]["message"] == "Internal server error"
    assert SECRET not in json.dumps(message)
