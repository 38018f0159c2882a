"""Scalars: what they take, what they refuse, how they are shown."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from graphql_api.scalars import JSON, JSON_DEPTH, BigInt, DateTime, scalar_map
from tests.fixtures.api import RunningApi
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest

CREATE = """mutation($bucketId: ID!, $metadata: JSON) {
  createObjects(input: {bucketId: $bucketId, objects: [{metadata: $metadata}]}) {
    results { object { metadata } errors { code message path hint } }
  }
}"""


def parse(scalar: object, value: object) -> Any:
    return scalar_map()[scalar].parse_value(value)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00+01:00", datetime(2026, 1, 31, 11, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123456-05:30", datetime(2026, 1, 31, 17, 30, 0, 123456, tzinfo=UTC)),
    ],
)
def test_a_time_with_its_offset_is_taken(text: str, moment: datetime) -> None:
    assert parse(DateTime, text) == moment


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "2026-W05-6T12:00:00Z",
        "20260131T120000Z", "2026-01-31T12Z", "2026-01-31T12:00Z", "2026-01-31T12:00:00,5Z",
        "2026-02-30T12:00:00Z", "2026-01-31T25:00:00Z", "0001-01-01T00:00:00+14:00", "",
        "\u0662026-01-31T12:00:00Z", "2026-01-31T12:00:00Z\n", 1769860800, None, True,
    ],
)  # fmt: skip
def test_anything_else_is_no_time(value: object) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|no such time"):
        parse(DateTime, value)


def test_a_time_is_shown_in_utc_with_a_z() -> None:
    show = scalar_map()[DateTime].serialize
    eastern = timezone(timedelta(hours=-5))

    assert show(datetime(2026, 1, 31, 12, tzinfo=eastern)) == "2026-01-31T17:00:00.000Z"
    assert show(datetime(2026, 1, 31, 12)) == "2026-01-31T12:00:00.000Z"  # noqa: DTZ001 as stored


@pytest.mark.parametrize("value", [0, -(10**30), "12", "-5", str(2**63)])
def test_a_big_integer_is_taken(value: int | str) -> None:
    assert parse(BigInt, value) == int(value)


@pytest.mark.parametrize(
    "value", [True, 1.0, "", "1_000", " 1", "1.0", "0x1", "9" * 5000, None, []]
)
def test_anything_else_is_no_big_integer(value: object) -> None:
    with pytest.raises(ValueError, match="BigInt"):
        parse(BigInt, value)


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_json_is_taken_to_its_depth() -> None:
    assert parse(JSON, nested(JSON_DEPTH)) == nested(JSON_DEPTH)
    for value in (nested(JSON_DEPTH + 1), nested(100_000)):
        with pytest.raises(ValueError, match="32 levels"):
            parse(JSON, value)


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": {"b": float("-inf")}}])
def test_numbers_that_json_lacks_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="number"):
        parse(JSON, value)


@pytest.fixture
async def bucket_id(caller: GraphQL) -> str:
    made = await caller.data('mutation { createBucket(input: {name: "b"}) { bucket { id } } }')
    found: str = made["createBucket"]["bucket"]["id"]
    return found


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": 1, "b": 1.5, "c": None, "d": [True, "\u2028", {"e": {}}], "f": ""},
        {"max": 2**63 - 1, "min": -(2**63), "nul": "a\x00b", "emoji": "\U0001f99e"},
        {"tiny": 5e-324, "large": 1.7976931348623157e308},
    ],
)
async def test_json_comes_back_as_it_was_given(
    caller: GraphQL, bucket_id: str, metadata: dict[str, Any]
) -> None:
    answer = await caller.data(CREATE, bucketId=bucket_id, metadata=metadata)

    (row,) = answer["createObjects"]["results"]
    assert row["errors"] == []
    assert row["object"]["metadata"] == metadata


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ('{"a": %s}' % (2**63), ["objects", "0", "metadata", "a"]),
        ('{"a": [%s]}' % -(2**64), ["objects", "0", "metadata", "a", "0"]),
        (r'{"a": "\ud800"}', ["objects", "0", "metadata", "a"]),
        (r'{"\udfff": 1}', ["objects", "0", "metadata"]),
        (r'{"a": {"b\u0000": 1}}', ["objects", "0", "metadata", "a", r"'b\x00'"]),
        ('{"$where": 1}', ["objects", "0", "metadata", "$where"]),
        ("[]", ["objects", "0", "metadata"]),
        ("5", ["objects", "0", "metadata"]),
    ],
)
async def test_what_cannot_be_kept_is_an_error_of_its_row(
    api: RunningApi, namespace: NamespaceOfTest, bucket_id: str, metadata: str, path: list[str]
) -> None:
    row = await create(api, namespace, bucket_id, metadata)

    (error,) = row["data"]["createObjects"]["results"][0]["errors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", path)
    assert error["message"]


@pytest.mark.parametrize(
    "metadata", ['{"a": 1e400}', '{"a": -1e999}', '{"a": ' * 40 + "1" + "}" * 40]
)
async def test_json_beyond_its_bounds_is_the_callers_mistake(
    api: RunningApi, namespace: NamespaceOfTest, bucket_id: str, metadata: str
) -> None:
    answer = await create(api, namespace, bucket_id, metadata)

    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def create(
    api: RunningApi, namespace: NamespaceOfTest, bucket_id: str, metadata: str
) -> dict[str, Any]:
    """Send metadata as it is written."""
    body = json.dumps({"query": CREATE, "variables": {"bucketId": bucket_id, "metadata": "HERE"}})
    response = await api.post(body.replace('"HERE"', metadata).encode(), namespace.api_key)
    answer: dict[str, Any] = response.json()
    return answer
