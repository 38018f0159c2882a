from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import block_media
from engine.inline_pool import InlinePools
from engine.media import Decoder, MediaExtractor, Part
from engine.pools import Pools
from models.artifacts import ArtifactStore, media_key
from models.bucket import Bucket
from models.collection import Collection, InputMapping
from models.errors import ErrorCategory
from models.object import Blob, Object
from models.stores import Stores
from tests.engine.batches import documents_of, errors_of, run, submitted, with_engine
from tests.engine.conftest import PutSource
from tests.extractors import choice
from tests.factories import make_bucket, make_collection, make_object
from tests.fixtures.stores import NamespaceOfTest
from tests.media import picture


def halves_of(source: Bucket | list[Collection], path: str = "file") -> Collection:
    return make_collection(
        source,
        extractor=choice("halves@v1"),
        input_mappings=[InputMapping(input="blob", path=path)],
        passthrough=[],
    )


def objects_at(bucket: Bucket, urls: Sequence[str], **blob: Any) -> list[Object]:
    made = [
        make_object(bucket, metadata={}, blobs=[Blob(property="file", url=url, **blob)])
        for url in urls
    ]
    return sorted(made, key=lambda item: item.id)


class Counting(ArtifactStore):
    """A real store that counts what is asked of it."""

    def __init__(self, store: ArtifactStore) -> None:
        self.__dict__.update(store.__dict__)
        self.reads: Counter[str] = Counter()

    async def read_source(self, url: str, *, limit: int, namespace_id: str = "") -> bytes:
        self.reads[url] += 1
        return await super().read_source(url, limit=limit, namespace_id=namespace_id)


def counting(stores: Stores) -> tuple[Stores, Counter[str]]:
    store = Counting(stores.artifacts)
    return replace(stores, artifacts=store), store.reads


async def test_media_made_by_one_tier_are_the_blobs_of_the_next(
    stores: Stores, namespace: NamespaceOfTest, put_source: PutSource, pools: Pools
) -> None:
    bucket = make_bucket(namespace.id)
    first = halves_of(bucket)
    second = halves_of([first], "half")
    url = await put_source("media/eight", b"01234567")
    batch = await submitted(
        stores, bucket, objects_at(bucket, [url], media_type="text/x-digits"), first, second
    )

    ended = await run(stores, batch, pools)

    one, other = await documents_of(first)
    assert (one.fields["size"], one.fields["said"]) == (8, "text/x-digits")
    assert one.fields["half"]["mediaType"] == "image/x-half"
    assert one.fields["half"]["sizeBytes"] == 4
    found = await stores.artifacts.read_source(
        other.fields["half"]["url"], limit=4, namespace_id=namespace.id
    )
    assert found == b"4567"
    below = await documents_of(second)
    assert [document.fields["size"] for document in below] == [4, 4, 4, 4]
    assert {document.fields["said"] for document in below} == {"image/x-half"}
    assert {document.source_id for document in below} == {one.id, other.id}
    assert ended.counts.documents_written == 6


async def test_bytes_are_fetched_once_however_many_extractors_want_them(
    stores: Stores, namespace: NamespaceOfTest, put_source: PutSource, inline: InlinePools
) -> None:
    stores, reads = counting(stores)
    bucket = make_bucket(namespace.id)
    urls = [await put_source(f"shared/{number}", b"%d" % number) for number in range(20)]
    collections = [halves_of(bucket) for _ in range(3)]
    batch = await submitted(stores, bucket, objects_at(bucket, urls), *collections)

    ended = await run(stores, batch, inline)

    assert ended.counts.documents_written == 3 * 20 * 2
    assert reads == dict.fromkeys(urls, 1)


@pytest.mark.parametrize("shared", [True, False])
async def test_a_file_is_decoded_once_for_all_that_ask_the_same_of_it(
    shared: bool, stores: Stores, namespace: NamespaceOfTest, put_source: PutSource,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    decoded: Counter[bytes] = Counter()
    decode = Decoder.decode

    def counted(self: Decoder, request: Mapping[str, Any], data: bytes) -> Iterator[Part]:
        decoded[data] += 1
        return decode(self, request, data)

    monkeypatch.setattr(Decoder, "decode", counted)
    if not shared:
        monkeypatch.setattr(MediaExtractor, "share_decoded", lambda *_: None)
    bucket = make_bucket(namespace.id)
    pictures = [picture(40, 30 + number) for number in range(6)]
    urls = [await put_source(f"decoded/{number}", body) for number, body in enumerate(pictures)]
    collections = [
        make_collection(
            bucket,
            extractor=choice("image@v1", thumbnail=16),
            input_mappings=[InputMapping(input="image", path="file")],
            passthrough=[],
        )
        for _ in range(3)
    ]
    batch = await submitted(stores, bucket, objects_at(bucket, urls), *collections)

    ended = await run(stores, batch, InlinePools(tmp_path))

    assert ended.counts.documents_written == 3 * len(pictures)
    assert decoded == dict.fromkeys(pictures, 1 if shared else 3)
    heights = [sorted(one.fields["height"] for one in await documents_of(c)) for c in collections]
    assert heights == [[30, 31, 32, 33, 34, 35]] * 3


async def test_bytes_that_cannot_be_had_fail_their_row_only(
    stores: Stores, namespace: NamespaceOfTest, put_source: PutSource, inline: InlinePools
) -> None:
    stores = with_engine(stores, max_blob_bytes=10)
    bucket = make_bucket(namespace.id)
    collection = halves_of(bucket)
    foreign = media_key("ns_other", "btc_1", "sub_1", sha256="0" * 64)
    wrong = {
        "s3://inputs/nowhere": "Nothing is stored",
        await put_source("large", b"01234567890"): "is larger than 10 bytes",
        await put_source("bad", b"bad"): "Bad bytes.",
        f"s3://strata/{foreign}": "may not point into",
        f"s3://strata/{namespace.id}/batches/b/s/output/secret": "may not point into",
    }
    urls = [*wrong, await put_source("fine", b"0123456789")]
    objects = objects_at(bucket, urls)
    batch = await submitted(stores, bucket, objects, collection)

    ended = await run(stores, batch, inline)

    fine = next(item.id for item in objects if item.blobs[0].url == urls[-1])
    assert {document.object_id for document in await documents_of(collection)} == {fine}
    said = {error.object_id: error for error in await errors_of(batch)}
    for item in objects:
        url = item.blobs[0].url or ""
        if url in wrong:
            assert wrong[url] in said[item.id].message
    assert len(said) == len(wrong)
    categories = Counter(error.category for error in said.values())
    assert categories == {ErrorCategory.DEPENDENCY: 4, ErrorCategory.VALIDATION: 1}
    assert (ended.counts.rows_succeeded, ended.counts.rows_failed) == (1, 5)


async def test_a_block_of_large_blobs_is_extracted_in_slices(
    stores: Stores,
    namespace: NamespaceOfTest,
    put_source: PutSource,
    inline: InlinePools,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(block_media, "_SLICE_BYTES", 5)
    bucket = make_bucket(namespace.id)
    collection = halves_of(bucket)
    urls = [await put_source(f"sliced/{number}", b"x" * number) for number in range(9)]
    urls[4] = "s3://inputs/nowhere"
    objects = objects_at(bucket, urls, size_bytes=1)
    batch = await submitted(stores, bucket, objects, collection)

    ended = await run(stores, batch, inline)

    sizes = {item.id: urls.index(item.blobs[0].url or "") for item in objects}
    documents = await documents_of(collection)
    assert len(documents) == 16
    assert all(document.fields["size"] == sizes[document.object_id] for document in documents)
    assert [sizes[error.object_id or ""] for error in await errors_of(batch)] == [4]
    assert ended.counts.rows_in == 9


async def test_a_short_text_is_a_blob_too(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = halves_of(bucket)
    item = make_object(bucket, metadata={}, blobs=[Blob(property="file", text="grün")])
    number = make_object(bucket, metadata={"file": 7}, blobs=[])
    batch = await submitted(stores, bucket, [item, number], collection)

    ended = await run(stores, batch, inline)

    assert [document.fields["size"] for document in await documents_of(collection)] == [5, 5]
    assert ended.counts.rows_missing_input == 1


async def test_a_block_of_which_nothing_can_be_had_makes_no_document(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    bucket = make_bucket(namespace.id)
    collection = halves_of(bucket)
    batch = await submitted(stores, bucket, objects_at(bucket, ["s3://inputs/nowhere"]), collection)

    ended = await run(stores, batch, inline)

    assert ended.blocks_open == 0
    assert (ended.counts.rows_failed, ended.counts.documents_written) == (1, 0)
