"""Uploads: what S3 refuses by the link alone, what is confirmed, attached and swept away."""

import hashlib
from datetime import timedelta
from typing import Any

import httpx
import pytest

from models.artifacts import upload_key
from models.bucket import Bucket
from models.errors import Conflict, InvalidInput, NotFound
from models.ids import new_id
from models.object import Blob, Object
from models.scope import Scope
from models.stored import now
from models.stores import Stores
from models.task import Task
from models.upload import Upload, UploadStatus
from tests.factories import make_bucket, store
from tests.fixtures.stores import NamespaceOfTest
from workers.deletions import delete_bucket
from workers.intake import ErrorPolicy, RowAnswer, write_objects
from workers.object_changes import delete_objects
from workers.object_rows import ObjectDraft
from workers.tasks import run_task
from workers.uploads import (
    UploadDraft,
    UploadLink,
    confirm_upload,
    request_upload,
    sweep_uploads,
)

BODY = b"The bytes of a picture."
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
async def bucket(namespace: NamespaceOfTest) -> Bucket:
    """A bucket without a schema."""
    made = make_bucket(namespace.id)
    await store(made)
    return made


def scope_of(bucket: Bucket) -> Scope:
    return Scope(bucket.namespace_id)


async def ask(stores: Stores, bucket: Bucket, **values: Any) -> UploadLink:
    usual = {
        "filename": "a.png", "media_type": "image/png", "size_bytes": len(BODY), "sha256": SHA256,
    }  # fmt: skip
    draft = UploadDraft(**{**usual, **values})
    return await request_upload(stores, scope_of(bucket), bucket.id, draft)


async def put(link: UploadLink, body: bytes = BODY, *, media_type: str = "image/png") -> int:
    async with httpx.AsyncClient(timeout=10) as client:
        answer = await client.put(
            link.url, content=body, headers={**link.headers, "Content-Type": media_type}
        )
    return answer.status_code


async def confirmed(stores: Stores, bucket: Bucket) -> Upload:
    link = await ask(stores, bucket)
    assert await put(link) == 200
    return await confirm_upload(stores, scope_of(bucket), link.upload.id)


async def attach(stores: Stores, bucket: Bucket, *upload_ids: str) -> list[RowAnswer]:
    drafts = [
        ObjectDraft(None, {}, [Blob(property="picture", upload_id=one)]) for one in upload_ids
    ]
    return await write_objects(
        stores, scope_of(bucket), bucket.id, drafts,
        policy=None, error_policy=ErrorPolicy.REJECT_FAILED_ROWS,
    )  # fmt: skip


async def is_stored(stores: Stores, upload: Upload) -> bool:
    try:
        await stores.artifacts.look_at_upload(upload_key(upload.namespace_id, upload.id))
    except NotFound:
        return False
    return True


async def overdue(upload: Upload) -> None:
    """Let the time pass after which the sweep may take an upload."""
    await Upload.get_pymongo_collection().update_one(
        {"_id": upload.id, "discard_at": {"$ne": None}},
        {"$set": {"discard_at": now() - timedelta(seconds=1)}},
    )


async def test_a_file_is_sent_confirmed_and_read_by_the_engine(
    stores: Stores, bucket: Bucket
) -> None:
    upload = await confirmed(stores, bucket)
    [answer] = await attach(stores, bucket, upload.id)

    assert answer.errors == []
    assert answer.object is not None
    [blob] = answer.object.blobs
    assert (blob.media_type, blob.size_bytes) == ("image/png", len(BODY))
    url, mine = str(blob.url), bucket.namespace_id
    assert await stores.artifacts.read_source(url, limit=1000, namespace_id=mine) == BODY
    with pytest.raises(InvalidInput):
        await stores.artifacts.read_source(url, limit=1000, namespace_id=new_id("ns"))
    kept = await scope_of(bucket).require(Upload, upload.id)
    assert (kept.object_id, kept.discard_at) == (answer.object.id, None)


async def test_the_link_takes_the_bytes_announced_and_no_others(
    stores: Stores, bucket: Bucket
) -> None:
    other = bytes(reversed(BODY))
    link = await ask(stores, bucket)

    refused = [
        await put(link, other),
        await put(link, BODY + b"x"),
        await put(link, media_type="text/html"),
    ]
    assert [status >= 400 for status in refused] == [True, True, True]
    with pytest.raises(InvalidInput, match="not arrived"):
        await confirm_upload(stores, scope_of(bucket), link.upload.id)
    assert [await put(link), await put(link)] == [200, 412]
    first = await confirm_upload(stores, scope_of(bucket), link.upload.id)
    again = await confirm_upload(stores, scope_of(bucket), link.upload.id)
    assert first.confirmed_at == again.confirmed_at


async def test_what_was_not_announced_is_not_confirmed(stores: Stores, bucket: Bucket) -> None:
    """As if the store had let other bytes pass."""
    link = await ask(stores, bucket)
    await put(link)
    await Upload.get_pymongo_collection().update_one(
        {"_id": link.upload.id}, {"$set": {"sha256": "0" * 64}}
    )

    with pytest.raises(InvalidInput, match=SHA256):
        await confirm_upload(stores, scope_of(bucket), link.upload.id)


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"filename": ""}, "filename"),
        ({"media_type": "png"}, "mediaType"),
        ({"size_bytes": 0}, "sizeBytes"),
        ({"size_bytes": 6 * 1024**3}, "sizeBytes"),
        ({"sha256": SHA256.upper()}, "sha256"),
        ({"expires_seconds": 59}, "expiresSeconds"),
    ],
)
async def test_an_announcement_that_makes_no_sense_is_refused(
    stores: Stores, bucket: Bucket, values: dict[str, Any], path: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await ask(stores, bucket, **values)

    assert refused.value.path == (path,)


async def test_an_object_takes_a_confirmed_upload_of_its_bucket_only(
    stores: Stores, bucket: Bucket, namespace: NamespaceOfTest
) -> None:
    elsewhere = make_bucket(namespace.id)
    await store(elsewhere)
    pending = (await ask(stores, bucket)).upload
    foreign = await confirmed(stores, elsewhere)

    answers = await attach(stores, bucket, pending.id, foreign.id, new_id("upl"))

    paths = [[error.path for error in answer.errors] for answer in answers]
    assert paths == [[("objects", str(row), "blobs", "0", "uploadId")] for row in range(3)]


async def test_an_upload_belongs_to_one_object(stores: Stores, bucket: Bucket) -> None:
    upload = await confirmed(stores, bucket)
    await attach(stores, bucket, upload.id)

    with pytest.raises(Conflict):
        await attach(stores, bucket, upload.id)
    assert await scope_of(bucket).count(Object) == 1


async def test_abandoned_uploads_are_swept_and_attached_ones_stay(
    stores: Stores, bucket: Bucket
) -> None:
    pending, spare, kept = (
        (await ask(stores, bucket)).upload,
        *[await confirmed(stores, bucket) for _ in range(2)],
    )
    [answer] = await attach(stores, bucket, kept.id)
    await sweep_uploads(stores)
    assert await scope_of(bucket).count(Upload) == 3
    for upload in (pending, spare, kept):
        await overdue(upload)

    await sweep_uploads(stores)

    assert [one.id for one in await scope_of(bucket).all(Upload)] == [kept.id]
    assert [await is_stored(stores, one) for one in (spare, kept)] == [False, True]
    assert answer.object is not None
    await delete_objects(
        stores, scope_of(bucket), bucket.id, [answer.object.id], error_policy=ErrorPolicy.REJECT_ALL
    )
    await sweep_uploads(stores)
    assert not await is_stored(stores, kept)


async def test_what_is_being_discarded_is_not_attached(stores: Stores, bucket: Bucket) -> None:
    upload = await confirmed(stores, bucket)
    await Upload.get_pymongo_collection().update_one(
        {"_id": upload.id}, {"$set": {"status": str(UploadStatus.DISCARDED)}}
    )

    [answer] = await attach(stores, bucket, upload.id)

    assert [error.code for error in answer.errors] == ["INVALID_INPUT"]
    with pytest.raises(NotFound):
        await confirm_upload(stores, scope_of(bucket), new_id("upl"))


async def test_a_bucket_takes_its_uploads_along(stores: Stores, bucket: Bucket) -> None:
    upload = await confirmed(stores, bucket)
    await attach(stores, bucket, upload.id)
    scope = scope_of(bucket)

    task = await delete_bucket(stores, scope, bucket.id)
    await run_task(stores, task.id)

    assert (await scope.require(Task, task.id)).status == "COMPLETED"
    assert await scope.count(Upload) == 0
    assert not await is_stored(stores, upload)
