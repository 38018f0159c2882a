"""Artifacts: immutable Parquet files on S3, and the source objects beside them.

{namespace}/batches/{batch}/{submission}/{extractor}/part-00000.parquet        manifest rows
{namespace}/batches/{batch}/{submission}/output/{block}-{epoch}.parquet        documents of a block
{namespace}/batches/{batch}/{submission}/media/{sha256}                        bytes made for them

Keys are ids, never names. Every write is create-only; a key that exists with the same bytes is
success. Readers follow committed pointers only and check the sha256 before they parse.
"""

import asyncio
import base64
import hashlib
import io
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypedDict

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from models.errors import ArtifactCorrupt, InvalidInput, Misconfigured, NotFound, StoreUnavailable
from models.ids import new_id
from models.settings import S3Settings

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import ObjectIdentifierTypeDef

_PROBE: Final = ".strata-probe"
_EXISTS: Final = frozenset({"PreconditionFailed", "412"})
_RACE: Final = frozenset({"ConditionalRequestConflict", "409"})
_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
_CLOSED: Final = frozenset({"AccessDenied", "InvalidObjectState"})  # the latter: in cold storage
_MADE_BY_ANOTHER: Final = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
_BROKEN: Final = (BotoCoreError, aiohttp.ClientError, OSError)  # aiohttp: cut off while streaming
_CHUNK: Final = 1024 * 1024
_DELETE_KEYS: Final = 1000
_PAGE_KEYS: Final = 1000  # the most that one listing returns
_ADDRESS: Final = re.compile(r"s3://([A-Za-z0-9._-]{3,63})/([^\x00-\x1f\x7f\ud800-\udfff]+)")
_KEY_BYTES: Final = 1024  # S3's own limit


def manifest_key(
    namespace_id: str, batch_id: str, submission: str, *, extractor: str, part: int
) -> str:
    """Return the key of one manifest file."""
    return f"{namespace_id}/batches/{batch_id}/{submission}/{extractor}/part-{part:05d}.parquet"


def output_key(
    namespace_id: str, batch_id: str, submission: str, *, block_id: str, epoch: int
) -> str:
    """Return the key of a block's output under one epoch."""
    return f"{namespace_id}/batches/{batch_id}/{submission}/output/{block_id}-{epoch}.parquet"


def media_key(namespace_id: str, batch_id: str, submission: str, *, sha256: str) -> str:
    """Return the key of bytes that an extractor made: the same bytes lie there once."""
    return f"{namespace_id}/batches/{batch_id}/{submission}/media/{sha256}"


def upload_key(namespace_id: str, upload_id: str) -> str:
    """Return the key of a client's upload."""
    return f"{namespace_id}/uploads/{upload_id}"


def sha256_of(path: Path) -> str:
    """Return a file's sha256 in hex, read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _ContentType(TypedDict, total=False):
    ContentType: str


class _From(TypedDict, total=False):
    Range: str


class ArtifactStore:
    """One S3 bucket of ours, and the buckets that objects may point into."""

    def __init__(self, client: "S3Client", settings: S3Settings) -> None:
        self._s3 = client
        self._bucket = settings.bucket
        self._sources = frozenset(settings.source_buckets)

    async def create(self, key: str, path: Path, *, sha256: str) -> None:
        """Upload a file under a new key; the same bytes already there count as success.

        Raises:
            ArtifactCorrupt: other bytes are already there.
            StoreUnavailable: S3 does not answer.
        """
        await self._create(key, lambda: path.open("rb"), sha256, media_type=None)

    async def create_media(self, key: str, data: bytes, *, sha256: str, media_type: str) -> str:
        """Upload bytes as `create` does a file; return their address."""
        await self._create(key, lambda: io.BytesIO(data), sha256, media_type=media_type)
        return f"s3://{self._bucket}/{key}"

    async def _create(
        self, key: str, open_body: Callable[[], BinaryIO], sha256: str, *, media_type: str | None
    ) -> None:
        kind: _ContentType = {} if media_type is None else {"ContentType": media_type}
        for attempt in range(3):
            try:
                with open_body() as body:
                    await self._s3.put_object(
                        Bucket=self._bucket,
                        Key=key,
                        Body=body,
                        IfNoneMatch="*",
                        Metadata={"sha256": sha256},
                        **kind,
                    )
            except ClientError as error:
                if _code(error) in _EXISTS:
                    return await self._require_same(key, sha256)
                if _code(error) not in _RACE or attempt == 2:
                    raise _unavailable(error) from error
            except _BROKEN as error:
                raise _unavailable(error) from error
            else:
                return None
        return None

    def address(self, key: str) -> str:
        """Return the address of one of our keys."""
        return f"s3://{self._bucket}/{key}"

    async def sign_upload(
        self, key: str, *, media_type: str, size: int, sha256: str, seconds: int
    ) -> tuple[str, dict[str, str]]:
        """Return the address and headers of a PUT that creates a key of these bytes, and no other.

        Size, type and checksum are signed, so that S3 refuses whatever differs.
        """
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        url = await self._s3.generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self._bucket, "Key": key, "ContentType": media_type,
                "ContentLength": size, "ChecksumSHA256": checksum, "IfNoneMatch": "*",
            },
            ExpiresIn=seconds,
        )  # fmt: skip
        headers = {
            "Content-Type": media_type,
            "x-amz-checksum-sha256": checksum,
            "If-None-Match": "*",
        }
        return url, headers

    async def look_at_upload(self, key: str) -> tuple[int, str]:
        """Return size and sha256 of what a client has sent.

        Raises:
            NotFound: nothing is there.
            StoreUnavailable: S3 does not answer.
        """
        with _speaking():
            try:
                head = await self._s3.head_object(
                    Bucket=self._bucket, Key=key, ChecksumMode="ENABLED"
                )
            except ClientError as error:
                if _code(error) in _ABSENT:
                    raise NotFound(f"Nothing is stored as {key}.") from error
                raise
        if found := head.get("ChecksumSHA256"):
            return head["ContentLength"], base64.b64decode(found).hex()
        return head["ContentLength"], await self._hash(key)

    async def _hash(self, key: str) -> str:
        """Read a whole upload for its sha256: its store keeps no checksums."""
        digest = hashlib.sha256()
        async with aclosing(self._stream(self._bucket, key)) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(digest.update, chunk)
        return digest.hexdigest()

    def stream_upload(self, key: str, *, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of what a client has sent, from one of them on.

        Raises:
            NotFound: nothing is there.
            StoreUnavailable: S3 does not answer, or stopped in the middle.
        """
        return self._stream(self._bucket, key, start=start)

    async def read(self, key: str, *, sha256: str) -> bytes:
        """Return a committed artifact's bytes.

        Raises:
            ArtifactCorrupt: the bytes are gone or are not those that were committed.
        """
        try:
            async with aclosing(self._stream(self._bucket, key)) as chunks:
                body = b"".join([chunk async for chunk in chunks])
        except NotFound as error:
            raise ArtifactCorrupt(f"Artifact {key} is gone from S3.") from error
        if await asyncio.to_thread(lambda: hashlib.sha256(body).hexdigest()) != sha256:
            raise ArtifactCorrupt(f"Artifact {key} does not have its committed sha256.")
        return body

    async def read_source(self, url: str, *, limit: int, namespace_id: str = "") -> bytes:
        """Return the bytes behind an address: an object's, or of media made in a namespace.

        Raises:
            InvalidInput: no such address, not allowed, closed to us, or more than `limit` bytes.
            NotFound: nothing is there.
            StoreUnavailable: S3 does not answer.
        """
        bucket, key = parse_s3_url(url)
        if bucket != self._bucket or not _is_media_of(namespace_id, key):
            self.require_source(bucket)
        parts: list[bytes] = []
        size = 0
        async with aclosing(self._stream(bucket, key)) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise InvalidInput(
                        f"{url} is larger than {limit} bytes.", hint="Split it into smaller files."
                    )
                parts.append(chunk)
        return b"".join(parts)

    def require_source(self, bucket: str, *, path: Sequence[str] = ()) -> None:
        """Refuse an S3 bucket that the operator did not list."""
        if bucket not in self._sources:
            raise InvalidInput(
                f"Objects may not point into the S3 bucket {bucket!r}.",
                path=path,
                hint="The operator lists allowed ones in STRATA_S3__SOURCE_BUCKETS.",
            )

    async def list_keys(self, folder: str, *, limit: int = _PAGE_KEYS) -> list[str]:
        """Return some keys of ours below a namespace or a folder of it; none when it is empty."""
        with _speaking():
            answer = await self._s3.list_objects_v2(
                Bucket=self._bucket, Prefix=f"{folder}/", MaxKeys=limit
            )
        return [found["Key"] for found in answer.get("Contents", [])]

    async def list_folders(self, folder: str) -> list[str]:
        """Return some names of what lies in a folder and has keys below it."""
        with _speaking():
            answer = await self._s3.list_objects_v2(
                Bucket=self._bucket, Prefix=f"{folder}/", Delimiter="/", MaxKeys=_PAGE_KEYS
            )
        found = [one["Prefix"] for one in answer.get("CommonPrefixes", [])]
        return [prefix.removeprefix(f"{folder}/").rstrip("/") for prefix in found]

    async def delete_keys(self, keys: Sequence[str]) -> None:
        """Delete artifacts of ours; those that are gone already do not matter."""
        for start in range(0, len(keys), _DELETE_KEYS):
            chunk: list[ObjectIdentifierTypeDef] = [
                {"Key": key} for key in keys[start : start + _DELETE_KEYS]
            ]
            with _speaking():
                answer = await self._s3.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": chunk}
                )
            for failed in answer.get("Errors", []):
                raise StoreUnavailable(f"S3 kept {failed.get('Key')}: {failed.get('Code')}.")

    async def prepare(self) -> None:
        """Create our bucket if needed and refuse a store that ignores create-only writes.

        Raises:
            Misconfigured: the store would overwrite committed artifacts.
            StoreUnavailable: S3 does not answer.
        """
        with _speaking():
            try:
                await self._s3.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if _code(error) not in _ABSENT:
                    raise
                await self._create_bucket()
            await self._probe()

    async def _create_bucket(self) -> None:
        try:
            await self._s3.create_bucket(Bucket=self._bucket)
        except ClientError as error:
            if _code(error) not in _MADE_BY_ANOTHER:
                raise

    async def _probe(self) -> None:
        key = f"{_PROBE}/{new_id('sub')}"
        put = {"Bucket": self._bucket, "Key": key, "Body": b"", "IfNoneMatch": "*"}
        try:
            for _ in range(2):
                await self._s3.put_object(**put)  # type: ignore[arg-type]  # values differ in type
        except ClientError as error:
            if _code(error) in _EXISTS:
                return
            if _code(error) != "NotImplemented":
                raise
        finally:
            await self._s3.delete_object(Bucket=self._bucket, Key=key)
        raise Misconfigured(
            "The S3 store does not heed If-None-Match: committed artifacts are not safe.",
            hint="Use a store with conditional writes (AWS S3, MinIO, Ceph, or `strata up`).",
        )

    async def _require_same(self, key: str, sha256: str) -> None:
        with _speaking():
            head = await self._s3.head_object(Bucket=self._bucket, Key=key)
        if head["Metadata"].get("sha256") != sha256:
            raise ArtifactCorrupt(f"Another artifact is already stored as {key}.")

    async def _stream(
        self, bucket: str, key: str, *, start: int = 0
    ) -> AsyncGenerator[bytes, None]:
        part: _From = {"Range": f"bytes={start}-"} if start else {}
        with _speaking():
            try:
                answer = await self._s3.get_object(Bucket=bucket, Key=key, **part)
            except ClientError as error:
                if _code(error) in _ABSENT:
                    raise NotFound(f"Nothing is stored at s3://{bucket}/{key}.") from error
                if _code(error) in _CLOSED and bucket in self._sources:
                    raise InvalidInput(
                        f"s3://{bucket}/{key} may not be read: {_code(error)}.",
                        hint="Check that it is there and that Strata's credentials may read it.",
                    ) from error
                raise
            async with answer["Body"] as body:
                async for chunk in body.content.iter_chunked(_CHUNK):
                    yield chunk


def parse_s3_url(url: str, *, path: Sequence[str] = ()) -> tuple[str, str]:
    """Split `s3://bucket/key`; raises InvalidInput for anything else."""
    found = _ADDRESS.fullmatch(url)
    if found is None or len(found[2].encode()) > _KEY_BYTES:
        raise InvalidInput(
            f"{url[:200]!r} is not an address of the form s3://bucket/key.", path=path
        )
    return found[1], found[2]


def _is_media_of(namespace_id: str, key: str) -> bool:
    """Tell media and uploads from artifacts, and ours from those of other namespaces."""
    parts = key.split("/")
    if parts[:2] == [namespace_id, "uploads"] and len(parts) == 3:
        return True
    return len(parts) == 6 and parts[0] == namespace_id and parts[4] == "media"


@asynccontextmanager
async def open_artifacts(settings: S3Settings) -> AsyncIterator[ArtifactStore]:
    """Open the S3 client for the length of a block.

    Raises:
        Misconfigured: objects could point at everybody's artifacts.
    """
    if settings.bucket in settings.source_buckets:
        raise Misconfigured(
            f"The S3 bucket {settings.bucket!r} holds the artifacts of every namespace.",
            hint="Take it out of STRATA_S3__SOURCE_BUCKETS.",
        )
    config = AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": "auto" if settings.endpoint_url is None else "path"},
        request_checksum_calculation=settings.checksums,
        response_checksum_validation=settings.checksums,
        retries={"max_attempts": 2, "mode": "standard"},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=32,
    )
    secret = settings.secret_key
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            aioboto3.Session().client(
                "s3",
                endpoint_url=settings.endpoint_url,
                region_name=settings.region,
                aws_access_key_id=settings.access_key,
                aws_secret_access_key=None if secret is None else secret.get_secret_value(),
                config=config,
            )
        )
        yield ArtifactStore(client, settings)


@contextmanager
def _speaking() -> Iterator[None]:
    """Whatever the client raises in here means that S3 is not available."""
    try:
        yield
    except (ClientError, *_BROKEN) as error:
        raise _unavailable(error) from error


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]


def _unavailable(error: Exception) -> StoreUnavailable:
    code = _code(error) if isinstance(error, ClientError) else ""
    return StoreUnavailable(
        f"S3 failed: {type(error).__name__} {code}".rstrip() + ".",
        hint="Check STRATA_S3__ENDPOINT_URL and the credentials.",
    )
