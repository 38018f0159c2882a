from pathlib import Path

import pyarrow as pa
import pytest

from engine.catalog import make_extractor
from engine.inline_pool import InlinePools
from models.collection import InputMapping, Passthrough
from models.object import Blob
from models.stores import Stores
from tests.engine.batches import documents_of, run, submitted
from tests.extractors import choice
from tests.factories import make_bucket, make_collection, make_object
from tests.fixtures.stores import NamespaceOfTest


def test_each_row_is_a_document(tmp_path: Path) -> None:
    rows = pa.RecordBatch.from_pydict({"content": pa.array(['{"a":1}', None], pa.large_string())})
    seen: list[int] = []

    made = make_extractor(choice("passthrough@v1"), tmp_path).run(rows, seen.append)

    assert made.documents.to_pylist() == [
        {"row": 0, "content": '{"a":1}'},
        {"row": 1, "content": None},
    ]
    assert (made.failures, seen) == ([], [2])


async def test_values_keep_their_types(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = make_collection(
        bucket,
        input_mappings=[InputMapping(input="content", path="nested")],
        passthrough=[
            Passthrough(path="content", target="text"),
            Passthrough(path="nested.number", target="number"),
        ],
    )
    nested = {"number": 2**53 + 1, "list": [1.5, None, True], "empty": {}}
    item = make_object(
        bucket, metadata={"nested": nested}, blobs=[Blob(property="content", text="a\0é🙂")]
    )
    batch = await submitted(stores, bucket, [item], collection)

    ended = await run(stores, batch, inline)

    (document,) = await documents_of(collection)
    assert document.fields == {"content": nested, "text": "a\0é🙂", "number": 2**53 + 1}
    assert ended.counts.rows_succeeded == 1


async def test_a_missing_required_field_is_counted(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = make_collection(
        bucket,
        input_mappings=[],
        passthrough=[Passthrough(path="number", target="number", required=True)],
    )
    objects = [make_object(bucket), make_object(bucket, metadata={})]
    batch = await submitted(stores, bucket, objects, collection)

    ended = await run(stores, batch, inline)

    assert [one.fields for one in await documents_of(collection)] == [{"number": 1}]
    assert (ended.counts.rows_in, ended.counts.rows_missing_input) == (2, 1)


@pytest.mark.parametrize("count", [1, 17])
async def test_points_are_as_many_as_documents(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, count: int
) -> None:
    bucket = make_bucket(namespace.id)
    collection = make_collection(bucket)
    objects = [make_object(bucket) for _ in range(count)]

    await run(stores, await submitted(stores, bucket, objects, collection), inline)

    assert len(await documents_of(collection)) == count
    assert await stores.vectors.count(collection.id) == count
