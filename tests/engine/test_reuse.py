"""Rows whose inputs have not changed are taken over; re-extraction replaces what has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine import runner
from engine.extraction import BlockExtraction, Index, stored_schema
from engine.inline_pool import InlinePools
from engine.inputs import BlockRows
from engine.output import Work
from engine.spec import Extraction
from models.block import Block, Fault, Isolation
from models.collection import Collection
from models.errors import ErrorCategory
from models.object import Blob
from models.stores import Stores
from tests.engine.batches import (
    documents_of,
    errors_of,
    run,
    said,
    say,
    submitted,
    submitted_again,
    texts_in,
    with_engine,
    words_of,
)
from tests.engine.conftest import PutSource
from tests.extractors import choice
from tests.factories import make_batch, make_block, make_bucket, store
from tests.fixtures.stores import NamespaceOfTest

TEXTS = ["a b", "c", "d", "e f g"]
Computed = Callable[[], int]


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """Where the extractor notes how many rows each call has."""
    return tmp_path / "calls"


def computed(calls: Path) -> int:
    """Return how many rows were computed since the last question."""
    found = calls.read_text().split() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return sum(int(rows) for rows in found)


def noting(calls: Path) -> Any:
    return choice("poisoned@v1", calls=str(calls))


async def test_unchanged_rows_are_taken_over_and_complete(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, calls: Path
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, noting(calls))
    above = words_of([collection], noting(calls))
    objects = texts_in(bucket, TEXTS)
    await run(stores, await submitted(stores, bucket, objects, collection, above), inline)
    assert computed(calls) == 4 + 7
    before = await documents_of(collection)

    again = await submitted_again(stores, bucket, objects)
    ended = await run(stores, again, inline)

    assert computed(calls) == 0
    assert (ended.counts.rows_reused, ended.counts.rows_succeeded) == (4 + 7, 4 + 7)
    after = await documents_of(collection)
    assert [(one.id, one.fields) for one in after] == [(one.id, one.fields) for one in before]
    assert {one.batch_id for one in after} == {again.id}
    assert await stores.vectors.count(collection.id) == 7
    block = await Block.find_one({"batch_id": again.id, "tier": 0})
    assert block is not None
    assert block.output is not None
    assert block.output.rows == 7  # as complete as one that was computed


async def test_only_what_changed_is_computed_in_another_cut_of_the_rows(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, calls: Path
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, noting(calls))
    objects = texts_in(bucket, TEXTS)
    await run(stores, await submitted(stores, bucket, objects, collection), inline)
    computed(calls)
    await say(objects[1], "changed")
    await say(objects[3], "e")

    narrow = with_engine(stores, block_rows=3)
    ended = await run(stores, await submitted_again(narrow, bucket, objects), inline)

    assert computed(calls) == 2
    assert ended.counts.rows_reused == 2
    assert await said(collection) == ["a", "b", "changed", "d", "e"]
    assert await stores.vectors.count(collection.id) == 5
    reread = await namespace.scope.require(Collection, collection.id)
    assert reread.document_count == 5


async def test_reuse_can_be_switched_off(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, calls: Path
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, noting(calls))
    objects = texts_in(bucket, TEXTS)
    await run(stores, await submitted(stores, bucket, objects, collection), inline)
    computed(calls)

    ended = await run(stores, await submitted_again(stores, bucket, objects, reuse=False), inline)

    assert computed(calls) == 4
    assert (ended.counts.rows_reused, ended.counts.documents_written) == (0, 7)


async def test_other_parameters_are_other_results(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, calls: Path, tmp_path: Path
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, noting(calls))
    objects = texts_in(bucket, TEXTS)
    await run(stores, await submitted(stores, bucket, objects, collection), inline)
    other = noting(tmp_path / "others")
    await Collection.get_pymongo_collection().update_one(
        {"_id": collection.id}, {"$set": {"extractor": other.model_dump()}}
    )

    ended = await run(stores, await submitted_again(stores, bucket, objects), inline)

    assert (ended.counts.rows_reused, computed(tmp_path / "others")) == (0, 4)


async def test_an_artifact_that_is_gone_is_computed_again(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, calls: Path
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, noting(calls))
    objects = texts_in(bucket, TEXTS)
    first = await submitted(stores, bucket, objects, collection)
    await run(stores, first, inline)
    computed(calls)
    block = await Block.find_one({"batch_id": first.id})
    assert block is not None
    assert block.output is not None
    await stores.artifacts.delete_keys([block.output.key])

    ended = await run(stores, await submitted_again(stores, bucket, objects), inline)

    assert (computed(calls), ended.counts.rows_reused) == (4, 0)
    assert await said(collection) == ["a", "b", "c", "d", "e", "f", "g"]


async def test_a_text_that_changed_behind_its_address_is_computed_again(
    stores: Stores,
    namespace: NamespaceOfTest,
    inline: InlinePools,
    calls: Path,
    put_source: PutSource,
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, noting(calls))
    urls = [await put_source(f"{bucket.id}-{name}", b"old " + name.encode()) for name in "xy"]
    objects = texts_in(bucket, ["", ""])
    for item, url in zip(objects, urls, strict=True):
        item.blobs = [Blob(property="content", url=url)]
    await run(stores, await submitted(stores, bucket, objects, collection), inline)
    assert computed(calls) == 2
    await put_source(f"{bucket.id}-y", b"new")

    ended = await run(stores, await submitted_again(stores, bucket, objects), inline)

    assert (computed(calls), ended.counts.rows_reused) == (1, 1)
    assert await said(collection) == ["new", "old", "x"]


async def test_bytes_that_changed_behind_their_address_are_computed_again(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools, put_source: PutSource
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("halves@v1"), vectors=[])
    collection.input_mappings = [
        one.model_copy(update={"input": "blob"}) for one in collection.input_mappings
    ]
    names = [f"{bucket.id}-{name}" for name in "pq"]
    objects = texts_in(bucket, ["", ""])
    for item, name in zip(objects, names, strict=True):
        item.blobs = [Blob(property="content", url=await put_source(name, b"12345678"))]
    await run(stores, await submitted(stores, bucket, objects, collection), inline)
    before = [one.fields for one in await documents_of(collection)]
    await put_source(names[1], b"abcdefgh")

    ended = await run(stores, await submitted_again(stores, bucket, objects), inline)

    assert await errors_of(ended) == []
    assert (ended.counts.rows_reused, ended.counts.rows_succeeded) == (1, 2)
    after = [one.fields for one in await documents_of(collection)]
    assert len(after) == len(before)
    kept = [fields for fields in after if fields in before]
    assert len(kept) == len(after) // 2


async def test_old_documents_stay_until_the_new_ones_are_committed(
    stores: Stores,
    namespace: NamespaceOfTest,
    inline: InlinePools,
    calls: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "_BACKOFF_CAP", 0.1)
    monkeypatch.setattr(runner, "_IDLE_SECONDS", 0.05)
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, noting(calls))
    objects = texts_in(bucket, TEXTS)
    await run(stores, await submitted(stores, bucket, objects, collection), inline)
    await say(objects[0], "raise")

    failing = await submitted_again(stores, bucket, objects)
    assert await said(collection) == ["a", "b", "c", "d", "e", "f", "g"]
    ended = await run(stores, failing, inline)

    assert ended.counts.rows_failed == 1
    assert await said(collection) == ["a", "b", "c", "d", "e", "f", "g"]  # the failed row's too
    assert await stores.vectors.count(collection.id) == 7

    await say(objects[0], "z")
    await run(stores, await submitted_again(stores, bucket, objects), inline)

    assert await said(collection) == ["c", "d", "e", "f", "g", "z"]
    assert await stores.vectors.count(collection.id) == 6


async def test_a_row_that_another_batch_has_passed_meanwhile_is_not_failed_by_an_earlier_search(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    collection = words_of(make_bucket(namespace.id))
    batch = make_batch(namespace.id)
    fault = Fault(start=0, stop=1, category=ErrorCategory.RESOURCE, message="It died.")
    block = make_block(
        batch,
        collection_id=collection.id,
        status="LEASED",
        isolation=Isolation(faults=[fault, fault]),
    )
    await store(block)
    work = Work(batch, block, collection)
    rows = BlockRows(pa.table({"source_id": ["obj_1"]}), [], reused=frozenset({0}))

    async def call(index: Index) -> Extraction:
        raise AssertionError("nothing is left to be extracted")

    reused = Extraction(stored_schema(work).empty_table())
    found = await BlockExtraction(work, rows, call=call, reused=reused).run()

    assert found.failures == []
