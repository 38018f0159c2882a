"""Buckets, objects and collections: what is made, and each way in which it is refused."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from models.object import Object
from models.observed import ObservedField, ObservedType
from models.stored import now
from tests.factories import make_bucket, make_collection, store
from tests.fixtures.api import RunningApi
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import SOURCE_BUCKET, NamespaceOfTest
from tests.graphql_api.calls import ERRORS, call, codes

BUCKET = f"""mutation($input: CreateBucketInput!) {{
  createBucket(input: $input) {{ bucket {{ id name fields {{ name type required }} }} {ERRORS} }}
}}"""
OBJECTS = f"""mutation($id: ID!, $objects: [ObjectInput!]!) {{
  createObjects(input: {{bucketId: $id, objects: $objects}}) {{
    createdCount failedCount
    results {{ index object {{ id key metadata blobs {{ property text url }} }}
              errors {{ code message path hint }} }} {ERRORS} }}
}}"""
COLLECTION = f"""mutation($input: CreateCollectionInput!) {{
  createCollection(input: $input) {{
    collection {{ id name outputFields {{ name type }} vectors {{ name dimension }}
                 extractor {{ name version parameters }} }} {ERRORS} }}
}}"""
BATCH = f"""mutation($id: ID!, $name: String) {{
  createBatch(input: {{bucketId: $id, name: $name}}) {{ batch {{ id }} {ERRORS} }}
}}"""
FIELDS: list[dict[str, Any]] = [
    {"name": "content", "type": "TEXT", "required": True},
    {"name": "number", "type": "INTEGER"},
    {"name": "more", "type": "OBJECT"},
]
MIB = 1024 * 1024


async def bucket_of(caller: GraphQL, fields: list[dict[str, Any]] | None = None) -> str:
    made = await call(caller, BUCKET, input={"name": "b", "fields": fields})
    assert made["userErrors"] == []
    found: str = made["bucket"]["id"]
    return found


async def test_a_bucket_keeps_its_schema(caller: GraphQL) -> None:
    made = await call(caller, BUCKET, input={"name": "b", "fields": FIELDS})

    assert made["bucket"]["fields"][0] == FIELDS[0]
    assert [field["type"] for field in made["bucket"]["fields"]] == ["TEXT", "INTEGER", "OBJECT"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": ""}, ("INVALID_INPUT", ["name"])),
        ({"name": "x" * 101}, ("INVALID_INPUT", ["name"])),
        ({"name": "a\x00b"}, ("INVALID_INPUT", ["name"])),
        ({"name": "taken"}, ("NAME_TAKEN", ["name"])),
        ({"fields": [FIELDS[1], FIELDS[1]]}, ("INVALID_INPUT", ["fields", "1", "name"])),
        ({"fields": [{**FIELDS[0], "name": "$x"}]}, ("INVALID_INPUT", ["fields", "0", "name"])),
    ],
)
async def test_what_is_wrong_with_a_bucket_is_named(
    caller: GraphQL,
    namespace: NamespaceOfTest,
    change: dict[str, Any],
    error: tuple[str, list[str]],
) -> None:
    await store(make_bucket(namespace.id, name="taken"))

    made = await call(caller, BUCKET, input={"name": "b", **change})

    assert (made["bucket"], codes(made)) == (None, [error])


async def test_a_bad_row_leaves_its_neighbours_alone(caller: GraphQL) -> None:
    """One answer a row, in order; what was good is stored."""
    bucket_id = await bucket_of(caller, FIELDS)
    good = {"blobs": [{"property": "content", "text": "a\x00b"}], "metadata": {"number": 1}}
    rows: list[tuple[dict[str, Any], str | None, list[str]]] = [
        ({**good, "key": "one"}, None, []),
        ({**good, "key": "one"}, "NAME_TAKEN", ["key"]),
        ({**good, "key": ""}, "INVALID_INPUT", ["key"]),
        ({"metadata": {"number": 1}}, "INVALID_INPUT", ["content"]),
        ({**good, "metadata": {"number": "1"}}, "INVALID_INPUT", ["number"]),
        ({**good, "metadata": {"number": True}}, "INVALID_INPUT", ["number"]),
        ({**good, "metadata": {"content": "x"}}, "INVALID_INPUT", ["blobs", "0", "property"]),
        ({"blobs": [{"property": "content"}]}, "INVALID_INPUT", ["blobs", "0"]),
        (
            {"blobs": [{"property": "content", "text": "a", "url": "s3://inputs/a"}]},
            "INVALID_INPUT", ["blobs", "0"],
        ),
        (
            {"blobs": [{"property": "content", "text": "é" * (MIB // 2 + 1)}]},
            "INVALID_INPUT", ["blobs", "0", "text"],
        ),
        ({"blobs": [{"property": "content", "url": f"s3://{SOURCE_BUCKET}/a"}]}, None, []),
        ({"blobs": [{"property": "content", "text": ""}]}, None, []),
    ]  # fmt: skip

    made = await call(caller, OBJECTS, id=bucket_id, objects=[row for row, _, _ in rows])

    assert [result["index"] for result in made["results"]] == list(range(len(rows)))
    for (_, code, path), result in zip(rows, made["results"], strict=True):
        place = ["objects", str(result["index"]), *path]
        found = [(error["code"], error["path"]) for error in result["errors"]]
        assert found == ([] if code is None else [(code, place)])
        assert (result["object"] is None) == (code is not None)
    assert (made["createdCount"], made["failedCount"]) == (3, 9)
    assert made["results"][0]["object"]["blobs"][0]["text"] == "a\x00b"


@pytest.mark.parametrize(
    "url",
    [
        "s3://strata/secret", "s3://elsewhere/a", "file:///etc/passwd", "s3://inputs", "s3:///a",
        "", "inputs/a", "s3://inputs@elsewhere/a", "http://example.com/a", "https://a@b/c",
        "https://example.com:6379/",
    ],
)  # fmt: skip
async def test_an_address_that_is_not_allowed_is_an_error_of_its_row(
    caller: GraphQL, url: str
) -> None:
    bucket_id = await bucket_of(caller)

    made = await call(
        caller, OBJECTS, id=bucket_id, objects=[{"blobs": [{"property": "a", "url": url}]}]
    )

    (error,) = made["results"][0]["errors"]
    assert error["code"] == ("ADDRESS_REFUSED" if url.startswith("http") else "INVALID_INPUT")


async def test_too_many_rows_and_an_unknown_bucket_are_refused_as_a_whole(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    bucket_id = await bucket_of(caller)

    many = await call(caller, OBJECTS, id=bucket_id, objects=[{}] * 1001)
    nowhere = await call(caller, OBJECTS, id="bkt_nowhere", objects=[{}])

    assert codes(many) == [("INVALID_INPUT", ["objects"])]
    assert codes(nowhere) == [("NOT_FOUND", ["bucketId"])]
    assert await namespace.scope.count(Object) == 0
    assert (await call(caller, OBJECTS, id=bucket_id, objects=[{}] * 1000))["createdCount"] == 1000


def collection_of(bucket_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": "c",
        "source": {"bucketId": bucket_id},
        "extractor": {"name": "text"},
        "inputMappings": [{"input": "text", "path": "content"}],
        **changes,
    }


async def test_a_collection_knows_its_output(caller: GraphQL) -> None:
    bucket_id = await bucket_of(caller, FIELDS)
    passthrough = [{"path": "number"}, {"path": "more.deep", "target": "deep"}]

    made = await call(caller, COLLECTION, input=collection_of(bucket_id, passthrough=passthrough))

    fields = {field["name"]: field["type"] for field in made["collection"]["outputFields"]}
    assert fields["number"] == "INTEGER"
    assert {"text", "chunk_index", "deep"} <= fields.keys()
    assert made["collection"]["vectors"] == [{"name": "embedding", "dimension": 384}]
    assert made["collection"]["extractor"]["parameters"]["split_by"] == "none"


async def test_a_collection_shows_what_its_documents_have(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    seen = ObservedField(path="a.b[]", type=ObservedType.STRING, first_seen_at=now())
    collection = make_collection(bucket, observed=[seen])
    await store(bucket, collection)

    query = "query($id: ID!) { collection(id: $id) { observedFields { path type firstSeenAt } } }"
    shown = (await caller.data(query, id=collection.id))["collection"]["observedFields"]

    at = datetime.fromisoformat(shown[0].pop("firstSeenAt"))
    assert shown == [{"path": "a.b[]", "type": "STRING"}]
    assert abs(at - seen.first_seen_at) < timedelta(milliseconds=1)


WRONG = {
    "name": ({"name": " "}, ("INVALID_INPUT", ["name"])),
    "taken": ({"name": "taken"}, ("NAME_TAKEN", ["name"])),
    "no source": ({"source": {}}, ("INVALID_INPUT", ["source"])),
    "two sources": (
        {"source": {"bucketId": "b", "collectionIds": ["c"]}},
        ("INVALID_INPUT", ["source"]),
    ),
    "unknown bucket": ({"source": {"bucketId": "b"}}, ("NOT_FOUND", ["source", "bucketId"])),
    "unknown collection": (
        {"source": {"collectionIds": ["c"]}},
        ("NOT_FOUND", ["source", "collectionIds", "0"]),
    ),
    "unknown extractor": ({"extractor": {"name": "x"}}, ("UNKNOWN_EXTRACTOR", None)),
    "unknown version": (
        {"extractor": {"name": "text", "version": "v9"}},
        ("UNKNOWN_EXTRACTOR", None),
    ),
    "chunk too small": (
        {"extractor": {"name": "text", "parameters": {"chunk_size": 0}}},
        ("INVALID_PARAMETERS", None),
    ),
    "chunk too large": (
        {"extractor": {"name": "text", "parameters": {"chunk_size": 10**9}}},
        ("INVALID_PARAMETERS", None),
    ),
    "overlap": (
        {"extractor": {"name": "text", "parameters": {"chunk_size": 5, "chunk_overlap": 5}}},
        ("INVALID_PARAMETERS", None),
    ),
    "unknown parameter": (
        {"extractor": {"name": "text", "parameters": {"chunk": 1}}},
        ("INVALID_PARAMETERS", None),
    ),
    "wrong type": (
        {"extractor": {"name": "text", "parameters": {"split_by": 5}}},
        ("INVALID_PARAMETERS", None),
    ),
    "no object": (
        {"extractor": {"name": "text", "parameters": [1]}},
        ("INVALID_INPUT", ["extractor", "parameters"]),
    ),
    "unknown net": (
        {"extractor": {"name": "text", "parameters": {"net": "no/such-net"}}},
        ("EXTRACTOR_UNAVAILABLE", ["extractor", "parameters", "net"]),
    ),
    "unknown field": (
        {"inputMappings": [{"input": "text", "path": "nowhere"}]},
        ("INVALID_MAPPING", ["inputMappings", "0", "path"]),
    ),
    "field below text": (
        {"inputMappings": [{"input": "text", "path": "number.deep"}]},
        ("INVALID_MAPPING", ["inputMappings", "0", "path"]),
    ),
    "wrong field type": (
        {"inputMappings": [{"input": "text", "path": "number"}]},
        ("INVALID_MAPPING", ["inputMappings", "0", "path"]),
    ),
    "unknown input": (
        {"inputMappings": [{"input": "image", "path": "content"}]},
        ("INVALID_MAPPING", ["inputMappings", "0", "input"]),
    ),
    "mapped twice": (
        {"inputMappings": [{"input": "text", "path": "content"}] * 2},
        ("INVALID_MAPPING", ["inputMappings", "1", "input"]),
    ),
    "path and literal": (
        {"inputMappings": [{"input": "text", "path": "content", "literal": "x"}]},
        ("INVALID_MAPPING", ["inputMappings", "0"]),
    ),
    "not mapped": ({"inputMappings": []}, ("INVALID_MAPPING", ["inputMappings"])),
    "unknown passthrough": (
        {"passthrough": [{"path": "nowhere"}]},
        ("INVALID_MAPPING", ["passthrough", "0", "path"]),
    ),
    "passthrough twice": (
        {"passthrough": [{"path": "number", "target": "text"}]},
        ("INVALID_MAPPING", ["passthrough", "0", "target"]),
    ),
}


@pytest.mark.parametrize(("change", "error"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_with_a_collection_is_named(
    caller: GraphQL,
    namespace: NamespaceOfTest,
    change: dict[str, Any],
    error: tuple[str, list[str] | None],
) -> None:
    bucket_id = await bucket_of(caller, FIELDS)
    await store(make_collection(make_bucket(namespace.id), name="taken"))

    made = await call(caller, COLLECTION, input=collection_of(bucket_id, **change))

    ((code, path),) = codes(made)
    assert made["collection"] is None
    assert (code, path if error[1] is not None else None) == error


async def test_upstream_collections_must_have_the_same_fields(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    one, two = make_collection(bucket), make_collection(bucket, output_fields=[])
    await store(bucket, one, two)
    source = {"collectionIds": [one.id, two.id]}
    chosen = {"name": "c", "source": source, "extractor": {"name": "passthrough"}}

    made = await call(caller, COLLECTION, input=chosen)

    assert codes(made) == [("INVALID_INPUT", ["source", "collectionIds", "1"])]


FILTER = {
    "and": [
        {"field": {"path": "number", "operator": "GTE", "value": 3}},
        {"not": {"field": {"path": "more.lang", "operator": "IN", "value": ["de", "fr"]}}},
        {"or": [{"field": {"path": "content", "operator": "EXISTS", "value": True}}]},
    ]
}


async def test_a_filter_is_shown_as_it_was_given(caller: GraphQL) -> None:
    source = {"bucketId": await bucket_of(caller, FIELDS), "filter": FILTER}
    made = await call(caller, COLLECTION, input=collection_of("", source=source))

    shown = "query($id: ID!) { collection(id: $id) { source { filter } } }"
    found = await call(caller, shown, id=made["collection"]["id"])

    assert found["source"]["filter"] == FILTER


@pytest.mark.parametrize(
    ("tree", "path"),
    [({"and": []}, ["and"]), ({"not": {"or": []}}, ["not", "or"]),
     ({"field": {"path": "number", "operator": "LT", "value": "x"}}, ["field", "value"])],
)  # fmt: skip
async def test_a_filter_that_makes_no_sense_is_an_error_of_its_part(
    caller: GraphQL, tree: dict[str, Any], path: list[str]
) -> None:
    source = {"bucketId": await bucket_of(caller, FIELDS), "filter": tree}

    made = await call(caller, COLLECTION, input=collection_of("", source=source))

    assert codes(made) == [("INVALID_INPUT", ["source", "filter", *path])]


NO_TEXT = "a\ud800b"
PLACES = {
    "bucket name": (BUCKET, {"input": {"name": NO_TEXT}}),
    "bucket description": (BUCKET, {"input": {"name": "b", "description": NO_TEXT}}),
    "field name": (BUCKET, {"input": {"name": "b", "fields": [{**FIELDS[0], "name": NO_TEXT}]}}),
    "object key": (OBJECTS, {"objects": [{"key": NO_TEXT}]}),
    "blob text": (OBJECTS, {"objects": [{"blobs": [{"property": "a", "text": NO_TEXT}]}]}),
    "blob property": (OBJECTS, {"objects": [{"blobs": [{"property": NO_TEXT, "text": "a"}]}]}),
    "blob address": (
        OBJECTS,
        {"objects": [{"blobs": [{"property": "a", "url": f"s3://{SOURCE_BUCKET}/{NO_TEXT}"}]}]},
    ),
    "batch name": (BATCH, {"name": NO_TEXT}),
}


@pytest.mark.parametrize(("query", "variables"), PLACES.values(), ids=PLACES)
async def test_text_that_is_no_unicode_is_refused_wherever_it_stands(
    api: RunningApi, namespace: NamespaceOfTest, query: str, variables: dict[str, Any]
) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket)
    body = {"query": query, "variables": {"id": bucket.id, **variables}}

    answer = (await api.post(body, namespace.api_key)).json()

    if "errors" in answer:
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]
    else:
        (payload,) = answer["data"].values()
        errors = payload["userErrors"] or payload["results"][0]["errors"]
        assert [error["code"] for error in errors] == ["INVALID_INPUT"]
    listed = await api.caller(namespace.api_key).data(
        "{ buckets { totalCount edges { node { name description } } } batches { totalCount } }"
    )
    assert (listed["buckets"]["totalCount"], listed["batches"]["totalCount"]) == (1, 0)
