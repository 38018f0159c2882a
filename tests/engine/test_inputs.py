import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from engine import source_texts
from engine.blob_cache import BlobCache, Occasion
from engine.catalog import extractor_spec
from engine.inline_pool import InlinePools
from engine.inputs import BlockRows, InputReader
from engine.rows import Rows, rows_table
from engine.source_texts import Read, fetch_texts
from models.artifacts import ArtifactStore, open_artifacts, sha256_of
from models.block import Block, Pointer
from models.collection import Collection, InputMapping
from models.errors import ArtifactCorrupt, ErrorCategory, StoreUnavailable
from models.object import Blob
from models.settings import S3Settings
from models.stores import Stores
from tests.engine.batches import (
    blocks_of,
    documents_of,
    errors_of,
    run,
    submitted,
    texts_in,
    words_of,
)
from tests.engine.conftest import PutSource
from tests.factories import make_bucket, make_collection, make_object
from tests.fixtures.stores import NamespaceOfTest
from tests.receiver import answer, open_receiver
from tests.traps import Trap, trapped
from tests.workers.hooks import reaching


async def read(stores: Stores, block: Block, collection: Collection) -> BlockRows:
    spec = extractor_spec(collection.extractor.label)
    reader = InputReader(stores.artifacts)
    return await reader.read(block, collection, spec, progress=lambda: None)


async def test_each_block_reads_its_own_rows(stores: Stores, namespace: NamespaceOfTest) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    objects = texts_in(bucket, [f"text-{number}" for number in range(40)])
    batch = await submitted(stores, bucket, objects, collection)
    reader = InputReader(stores.artifacts)

    found = [
        await reader.read(block, collection, extractor_spec("constant@v1"), progress=lambda: None)
        for block in await blocks_of(batch)
    ]

    assert [rows.rows_in for rows in found] == [16, 16, 8]
    texts = [text for rows in found for text in rows.table.column("in_text").to_pylist()]
    assert texts == [f"text-{number}" for number in range(40)]


async def test_s22_refuses_an_artifact_that_changed(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)
    (block,) = await blocks_of(batch)
    assert block.input is not None
    changed = block.input.model_copy(update={"sha256": "0" * 64})

    with pytest.raises(ArtifactCorrupt, match=f"{block.input.key} does not have its committed"):
        await read(stores, block.model_copy(update={"input": changed}), collection)


@pytest.mark.filterwarnings("ignore:pickle-based deserialization:RuntimeWarning")
@pytest.mark.parametrize(
    "kind",
    ["arrow.py_extension_type", "ray.data.arrow_tensor", "ray.data.arrow_pickled_object"],
)
async def test_s28_a_pickle_in_a_parquet_file_is_not_opened(
    stores: Stores, namespace: NamespaceOfTest, tmp_path: Path, kind: str
) -> None:
    canary, file = tmp_path / "canary", tmp_path / "trapped.parquet"
    file.write_bytes(trapped(kind, canary))
    key, sha256 = f"{namespace.id}/trapped.parquet", sha256_of(file)
    await stores.artifacts.create(key, file, sha256=sha256)
    reader = InputReader(stores.artifacts)

    # Whoever put it on S3 is not whom MongoDB names; and even what MongoDB names is only data.
    with pytest.raises(ArtifactCorrupt):
        await reader.artifact(Pointer(key=key, sha256="0" * 64, rows=1, bytes=1))
    table = await reader.artifact(Pointer(key=key, sha256=sha256, rows=1, bytes=1))

    assert table.column("in_text").to_pylist() == [b"a"]
    assert not canary.exists()
    pickle.loads(pickle.dumps(Trap(canary)))
    assert canary.exists()  # the trap is one


async def test_refuses_an_artifact_that_is_gone(stores: Stores, namespace: NamespaceOfTest) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)
    (block,) = await blocks_of(batch)
    await stores.artifacts.delete_keys([artifact.key for artifact in batch.artifacts])

    with pytest.raises(ArtifactCorrupt, match="is gone from S3"):
        await read(stores, block, collection)


async def test_upstream_documents_are_rows_with_all_their_fields(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    first = make_collection(bucket, input_mappings=[InputMapping(input="content", path="number")])
    second = words_of([first], input_mappings=[InputMapping(input="text", path="content.nested")])
    objects = [make_object(bucket, metadata={"number": {"nested": "deep"}})]
    batch = await submitted(stores, bucket, [*objects, make_object(bucket)], first, second)
    await run(stores, batch, inline)
    _, reading = await blocks_of(batch)

    found = await read(stores, reading, second)

    (row,) = found.table.to_pylist()
    assert row["in_text"] == "deep"
    assert row["object_id"] == objects[0].id
    assert row["source_id"] in {document.id for document in await documents_of(first)}
    (missing,) = found.missing
    assert missing.message == "Input 'text' is missing: no field 'content.nested'."


def reading(artifacts: ArtifactStore) -> Read:
    return BlobCache(artifacts, kept_bytes=0).reader(Occasion("ns_1", "run"))


async def rows_at(*urls: str, extractor: str = "constant@v1") -> pa.Table:
    """Rows whose text lies at an address."""
    spec = extractor_spec(extractor)
    name = spec.inputs[0].name
    rows = Rows()
    for number, url in enumerate(urls):
        rows.object_ids.append(f"obj_{number}")
        rows.source_ids.append(f"obj_{number}")
        rows.inputs.setdefault(name, []).append(None)
        rows.refs.append(f'{{"{name}":"{url}"}}')
        rows.passthrough.append("{}")
        rows.history.append(None)
    return rows_table(rows, spec)


async def test_texts_are_fetched_from_other_servers_too(stores: Stores) -> None:
    async with (
        open_receiver(answer(200, "Grüße".encode())) as receiver,
        reaching(stores, receiver) as reached,
    ):
        read = BlobCache(reached.artifacts, reached.egress, kept_bytes=0).reader(
            Occasion("ns_1", "run")
        )
        table = await rows_at(receiver.url("/a.txt"))
        found, failures = await fetch_texts(
            read, table, extractor_spec("constant@v1"), lambda: None
        )
        receiver.reply = answer(503)
        _, busy = await fetch_texts(read, table, extractor_spec("constant@v1"), lambda: None)

    assert (found.column("in_text").to_pylist(), failures) == (["Grüße"], [])
    assert [(one.category, one.transient) for one in busy] == [(ErrorCategory.NETWORK, True)]


async def test_s41_an_object_whose_address_leads_inside_fails_alone(stores: Stores) -> None:
    async with open_receiver() as inside:
        read = BlobCache(stores.artifacts, stores.egress, kept_bytes=0).reader(
            Occasion("ns_1", "run")
        )
        urls = [f"https://127.0.0.1:{inside.port}/", "https://127.0.0.1/", "https://[::1]:8443/"]
        table = await rows_at(*urls)
        _, failures = await fetch_texts(read, table, extractor_spec("constant@v1"), lambda: None)

    assert [(one.row, one.category, one.transient) for one in failures] == [
        (row, ErrorCategory.DEPENDENCY, False) for row in range(3)
    ]
    assert inside.connections == 0


async def test_texts_at_addresses_are_fetched(stores: Stores, put_source: PutSource) -> None:
    table = await rows_at(
        await put_source("one.txt", "Grüße 🙂".encode()),
        await put_source("folder/two three.txt", b""),
    )
    steps: list[None] = []

    found, failures = await fetch_texts(
        reading(stores.artifacts), table, extractor_spec("constant@v1"), lambda: steps.append(None)
    )

    assert found.column("in_text").to_pylist() == ["Grüße 🙂", ""]
    assert failures == []
    assert len(steps) == 2


async def test_a_text_that_cannot_be_had_fails_its_row_only(
    stores: Stores, put_source: PutSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_texts, "_TEXT_BYTES", 10)
    fine = await put_source("fine.txt", b"0123456789")
    table = await rows_at(
        await put_source("latin.txt", b"gr\xfc\xdfe"),
        fine,
        await put_source("large.txt", b"01234567890"),
        "s3://inputs/nowhere",
        "s3://secrets/key",
        "http://example.org/",
    )

    found, failures = await fetch_texts(
        reading(stores.artifacts), table, extractor_spec("constant@v1"), lambda: None
    )

    assert found.column("in_text").to_pylist() == ["", "0123456789", "", "", "", ""]
    said = {failure.row: failure for failure in failures}
    assert sorted(said) == [0, 2, 3, 4, 5]
    assert said[0].category == ErrorCategory.VALIDATION
    assert said[0].message == "Input 'text': s3://inputs/latin.txt is not UTF-8 at byte 2."
    assert said[2].message == "Input 'text': s3://inputs/large.txt is larger than 10 bytes."
    assert said[3].message == "Input 'text': Nothing is stored at s3://inputs/nowhere."
    assert "may not point into the S3 bucket 'secrets'" in said[4].message
    assert "is not an address of the form s3://bucket/key" in said[5].message
    assert all(failure.hint for failure in failures)


async def test_a_store_that_is_away_is_no_rows_fault() -> None:
    settings = S3Settings(
        endpoint_url="http://127.0.0.1:9",
        access_key="key",
        secret_key="secret",
        source_buckets=("inputs",),
    )
    table = await rows_at("s3://inputs/one", "s3://inputs/two")

    async with open_artifacts(settings) as artifacts:
        with pytest.raises(StoreUnavailable, match="S3 failed: EndpointConnectionError"):
            await fetch_texts(
                reading(artifacts), table, extractor_spec("constant@v1"), lambda: None
            )


async def test_a_json_input_at_an_address_is_its_text(
    stores: Stores, namespace: NamespaceOfTest, put_source: PutSource, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = make_collection(
        bucket, input_mappings=[InputMapping(input="content", path="content")], passthrough=[]
    )
    url = await put_source("quoted.txt", b'He said "no".')
    blobs = [[Blob(property="content", url=one)] for one in (url, "s3://inputs/missing")]
    objects = [make_object(bucket, blobs=each) for each in blobs]
    batch = await submitted(stores, bucket, objects, collection)

    ended = await run(stores, batch, inline)

    (document,) = await documents_of(collection)
    assert document.fields == {"content": 'He said "no".'}
    (error,) = await errors_of(batch)
    assert error.object_id == objects[1].id
    assert (ended.counts.rows_succeeded, ended.counts.rows_failed) == (1, 1)


async def test_a_block_whose_upstream_has_no_output_is_refused(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    first = words_of(bucket)
    second = words_of([first])
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), first, second)
    lower, reading = await blocks_of(batch)

    with pytest.raises(ArtifactCorrupt, match=f"Block {lower.id}, which this one reads"):
        await read(stores, reading, second)
