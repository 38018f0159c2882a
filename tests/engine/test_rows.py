from functools import cache
from typing import Any

import orjson
import pytest

from engine.catalog import extractor_spec
from engine.rows import Filtered, Flattener, Missing, Rows, SourceRow, object_row, rows_table
from models.bucket import Bucket
from models.collection import InputMapping, Passthrough
from models.ids import new_id
from models.object import Blob
from tests.factories import make_bucket, make_collection, make_object

pytestmark = pytest.mark.usefixtures("stores")  # nothing is stored; Beanie has to know the models


@cache
def bucket() -> Bucket:
    return make_bucket(new_id("ns"))


def flatten(
    fields: dict[str, Any],
    *mappings: InputMapping,
    passthrough: list[Passthrough] | None = None,
    extractor: str = "constant@v1",
    history: list[dict[str, Any]] | None = None,
) -> tuple[Rows, Missing | None]:
    collection = make_collection(
        bucket(), input_mappings=list(mappings), passthrough=passthrough or []
    )
    rows = Rows()
    row = SourceRow("obj_1", "src_1", fields, history)
    outcome = Flattener(collection, extractor_spec(extractor)).flatten(row, rows)
    assert not isinstance(outcome, Filtered)
    return rows, outcome


def text(path: str | None = None, literal: Any = None) -> InputMapping:
    return InputMapping(input="text", path=path, literal=literal)


def content(path: str) -> InputMapping:
    return InputMapping(input="content", path=path)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"body": "found"}, "body"),
        ({"page": {"body": "found"}}, "page.body"),
        ({"page.body": "found", "page": {"body": "hidden"}}, "page.body"),
        ({"page": {"part.body": "x", "part": {"body": "found"}}}, "page.part.body"),
    ],
)
def test_a_path_leads_through_dots(fields: dict[str, Any], path: str) -> None:
    rows, missing = flatten(fields, text(path))

    assert missing is None
    assert rows.inputs == {"text": ["found"]}


def test_a_literal_needs_no_field() -> None:
    rows, _ = flatten({}, text(literal="always"))

    assert rows.inputs == {"text": ["always"]}


@pytest.mark.parametrize("value", [{"a": [1, None]}, "text", 2**40, 1.5, False, []])
def test_a_json_input_keeps_any_value(value: Any) -> None:
    rows, _ = flatten({"any": value}, content("any"), extractor="passthrough@v1")

    (body,) = rows.inputs["content"]
    assert body is not None
    assert orjson.loads(body) == value


def test_an_optional_input_may_be_absent() -> None:
    rows, missing = flatten({}, content("any"), extractor="passthrough@v1")

    assert missing is None
    assert rows.inputs == {"content": [None], "vector": [None]}


@pytest.mark.parametrize(
    ("mappings", "said"),
    [
        ([], "Input 'text' is missing: nothing is mapped to it."),
        ([text("page.nowhere")], "Input 'text' is missing: no field 'page.nowhere'."),
        ([text("void")], "Input 'text' is missing: no field 'void'."),
        ([text("page")], "Input 'text' must be text but is dict."),
    ],
)
def test_a_row_without_its_input_says_so(mappings: list[InputMapping], said: str) -> None:
    rows, missing = flatten({"page": {"body": "x"}, "void": None}, *mappings)

    assert missing == Missing("obj_1", "src_1", said)
    assert rows == Rows()


def test_fields_pass_through_renamed_or_by_default() -> None:
    entries = [
        Passthrough(path="page.number", target="number"),
        Passthrough(path="nowhere", target="kind", default="unknown"),
        Passthrough(path="nowhere", target="dropped"),
    ]

    rows, _ = flatten({"page": {"number": 3}}, text(literal="x"), passthrough=entries)

    assert orjson.loads(rows.passthrough[0]) == {"number": 3, "kind": "unknown"}


def test_a_required_field_is_missed_by_name() -> None:
    entries = [Passthrough(path="page.number", target="number", required=True)]

    rows, missing = flatten({}, text(literal="x"), passthrough=entries)

    assert missing is not None
    assert missing.message == "Required field 'page.number' is missing."
    assert len(rows) == 0


def test_a_blob_at_an_address_is_fetched_later() -> None:
    blobs = [Blob(property="content", url="s3://inputs/a b.txt", size_bytes=1000)]
    row = object_row(make_object(bucket(), blobs=blobs).to_mongo(), with_history=False)
    collection = make_collection(
        bucket(),
        input_mappings=[text("content")],
        passthrough=[Passthrough(path="content", target="where")],
    )
    rows = Rows()

    Flattener(collection, extractor_spec("constant@v1")).flatten(row, rows)

    assert rows.inputs == {"text": [None]}
    assert rows.refs == ['{"text":"s3://inputs/a b.txt"}']
    assert orjson.loads(rows.passthrough[0]) == {"where": "s3://inputs/a b.txt"}
    assert rows.weight == 1000 + len(rows.passthrough[0])


def test_an_object_is_seen_with_its_key_and_metadata() -> None:
    blobs = [Blob(property="content", text="words")]
    item = make_object(bucket(), key="k", metadata={"number": 7}, blobs=blobs)

    row = object_row(item.to_mongo(), with_history=True)

    assert row.fields == {"object_id": item.id, "key": "k", "number": 7, "content": "words"}
    assert row.history == []
    assert row.source_id == row.object_id == item.id


def test_rows_become_a_table_in_their_order() -> None:
    rows, _ = flatten({}, text(literal="one"), history=[{"extractor": "a@v1"}])

    table = rows_table(rows, extractor_spec("constant@v1"))

    assert table.to_pylist() == [
        {
            "object_id": "obj_1",
            "source_id": "src_1",
            "in_text": "one",
            "refs": None,
            "passthrough": "{}",
            "history": '[{"extractor":"a@v1"}]',
        }
    ]
