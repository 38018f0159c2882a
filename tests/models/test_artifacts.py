import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aioboto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.artifacts import (
    ArtifactStore,
    manifest_key,
    open_artifacts,
    output_key,
    parse_s3_url,
    sha256_of,
)  # fmt: skip
from models.errors import ArtifactCorrupt, InvalidInput, NotFound
from models.ids import new_id
from models.settings import Settings
from models.stores import Stores
from tests.fixtures.stores import SOURCE_BUCKET


@pytest.fixture
def artifacts(stores: Stores) -> ArtifactStore:
    """The store of the test run."""
    return stores.artifacts


@pytest.fixture
def key() -> str:
    """A key that nobody has used."""
    return output_key(new_id("ns"), new_id("btc"), new_id("sub"), block_id=new_id("blk"), epoch=1)


@pytest.fixture(scope="module")
async def outside(settings: Settings) -> AsyncIterator["Outside"]:
    """S3 as somebody else uses it, beside our store."""
    part = settings.s3
    assert part.secret_key is not None
    session = aioboto3.Session(part.access_key, part.secret_key.get_secret_value())
    async with session.client("s3", endpoint_url=part.endpoint_url, region_name="us-east-1") as s3:
        yield Outside(s3, part.bucket)


class Outside:
    """Writes and deletes with no regard for conditions."""

    def __init__(self, s3: object, bucket: str) -> None:
        self.s3 = s3
        self.bucket = bucket

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        existing = {row["Name"] for row in (await self.s3.list_buckets())["Buckets"]}  # type: ignore[attr-defined]
        if bucket not in existing:
            await self.s3.create_bucket(Bucket=bucket)  # type: ignore[attr-defined]
        await self.s3.put_object(Bucket=bucket, Key=key, Body=body)  # type: ignore[attr-defined]

    async def delete(self, key: str) -> None:
        await self.s3.delete_object(Bucket=self.bucket, Key=key)  # type: ignore[attr-defined]


def write(folder: Path, body: bytes) -> tuple[Path, str]:
    path = folder / new_id("sub")
    path.write_bytes(body)
    return path, hashlib.sha256(body).hexdigest()


async def test_what_is_created_is_read_back(
    artifacts: ArtifactStore, key: str, tmp_path: Path
) -> None:
    path, sha256 = write(tmp_path, b"x" * 3_000_000)

    await artifacts.create(key, path, sha256=sha256)

    assert sha256_of(path) == sha256
    assert await artifacts.read(key, sha256=sha256) == path.read_bytes()


async def test_s21_the_same_bytes_twice_are_a_success(
    artifacts: ArtifactStore, key: str, tmp_path: Path
) -> None:
    path, sha256 = write(tmp_path, b"one")

    await asyncio.gather(*(artifacts.create(key, path, sha256=sha256) for _ in range(6)))
    await artifacts.create(key, path, sha256=sha256)

    assert await artifacts.read(key, sha256=sha256) == b"one"


async def test_s21_other_bytes_under_the_same_key_are_refused_and_change_nothing(
    artifacts: ArtifactStore, key: str, tmp_path: Path
) -> None:
    path, sha256 = write(tmp_path, b"one")
    other, other_sha256 = write(tmp_path, b"two")
    await artifacts.create(key, path, sha256=sha256)

    with pytest.raises(ArtifactCorrupt, match=key):
        await artifacts.create(key, other, sha256=other_sha256)

    assert await artifacts.read(key, sha256=sha256) == b"one"


async def test_writers_of_different_bytes_at_once_have_one_winner(
    artifacts: ArtifactStore, key: str, tmp_path: Path
) -> None:
    written = [write(tmp_path, bytes([number])) for number in range(6)]

    outcomes = await asyncio.gather(
        *(artifacts.create(key, path, sha256=sha256) for path, sha256 in written),
        return_exceptions=True,
    )

    assert [type(one) for one in outcomes].count(ArtifactCorrupt) == 5
    winner = outcomes.index(None)
    assert await artifacts.read(key, sha256=written[winner][1]) == bytes([winner])


async def test_s22_bytes_that_changed_behind_our_back_are_not_returned(
    artifacts: ArtifactStore, outside: Outside, key: str, tmp_path: Path
) -> None:
    path, sha256 = write(tmp_path, b"committed")
    await artifacts.create(key, path, sha256=sha256)
    await outside.put(outside.bucket, key, b"tampered!")

    with pytest.raises(ArtifactCorrupt, match="sha256"):
        await artifacts.read(key, sha256=sha256)


async def test_bytes_that_are_gone_are_missed_by_name(
    artifacts: ArtifactStore, outside: Outside, key: str, tmp_path: Path
) -> None:
    path, sha256 = write(tmp_path, b"committed")
    await artifacts.create(key, path, sha256=sha256)
    await outside.delete(key)

    with pytest.raises(ArtifactCorrupt, match=f"{key} is gone"):
        await artifacts.read(key, sha256=sha256)


async def test_deleting_reaches_more_keys_than_one_request_may_name(
    artifacts: ArtifactStore, key: str, tmp_path: Path
) -> None:
    path, sha256 = write(tmp_path, b"x")
    last = f"{key}-last"
    await artifacts.create(key, path, sha256=sha256)
    await artifacts.create(last, path, sha256=sha256)

    await artifacts.delete_keys([key, *(f"{key}-{n}" for n in range(1_000)), last])

    for one in (key, last):
        with pytest.raises(ArtifactCorrupt, match="gone"):
            await artifacts.read(one, sha256=sha256)
    await artifacts.delete_keys([])


async def test_a_source_is_read_up_to_its_limit(artifacts: ArtifactStore, outside: Outside) -> None:
    await outside.put(SOURCE_BUCKET, "a/ü b.txt", b"12345678")
    url = f"s3://{SOURCE_BUCKET}/a/ü b.txt"

    assert await artifacts.read_source(url, limit=8) == b"12345678"
    with pytest.raises(InvalidInput, match="larger than 7 bytes"):
        await artifacts.read_source(url, limit=7)


async def test_a_source_that_is_not_there(artifacts: ArtifactStore, outside: Outside) -> None:
    await outside.put(SOURCE_BUCKET, "there", b"")

    with pytest.raises(NotFound, match="absent"):
        await artifacts.read_source(f"s3://{SOURCE_BUCKET}/absent", limit=1)
    assert await artifacts.read_source(f"s3://{SOURCE_BUCKET}/there", limit=1) == b""


@pytest.mark.parametrize("bucket", ["strata", "other", "inputs2", "INPUTS"])
async def test_buckets_that_the_operator_did_not_list_are_closed(
    artifacts: ArtifactStore, bucket: str
) -> None:
    """Our own first of all: it holds everybody's artifacts."""
    with pytest.raises(InvalidInput, match="may not point"):
        await artifacts.read_source(f"s3://{bucket}/key", limit=1)


@pytest.mark.parametrize(
    "key", ["k", "a/b c", "?q=1", "#f", "a?b#c", "//x", "%2f", "ü", ".", "a:b"]
)
def test_an_address_keeps_its_key_to_the_letter(key: str) -> None:
    assert parse_s3_url(f"s3://bucket/{key}") == ("bucket", key)


@pytest.mark.parametrize(
    "url",
    ["", "s3", "s3:", "s3://", "s3:///key", "s3://bucket", "s3://bucket/", "S3://bucket/key",
     "https://bucket/key", "file:///etc/passwd", "bucket/key", " s3://bucket/key",
     "s3://buc\tket/key", "s3://bucket/\ud800", "s3://bucket/\x00", "s3://bucket/a\nb",
     "s3://bucket/" + "k" * 1025, "s3://[::1/key"],
)  # fmt: skip
def test_anything_else_is_no_address(url: str) -> None:
    with pytest.raises(InvalidInput):
        parse_s3_url(url)


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    for url in (text, f"s3://{text}", f"s3://bucket/{text}"):
        try:
            bucket, key = parse_s3_url(url)
        except InvalidInput:
            continue
        assert url == f"s3://{bucket}/{key}"


def test_keys_of_two_attempts_and_two_epochs_differ() -> None:
    parts = ("ns_1", "btc_1", "sub_1")

    assert manifest_key(*parts, extractor="text@v1", part=2) == (
        "ns_1/batches/btc_1/sub_1/text@v1/part-00002.parquet"
    )
    assert output_key(*parts, block_id="blk_1", epoch=7) == (
        "ns_1/batches/btc_1/sub_1/output/blk_1-7.parquet"
    )


async def test_a_store_is_prepared_by_several_at_once_and_again(settings: Settings) -> None:
    part = settings.s3.model_copy(update={"bucket": f"fresh-{new_id('sub')[4:].lower()}"})
    async with open_artifacts(part) as artifacts:
        await asyncio.gather(*(artifacts.prepare() for _ in range(4)))
        await artifacts.prepare()
