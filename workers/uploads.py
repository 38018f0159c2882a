"""Uploads: asked for, sent by the client straight to S3, confirmed, attached, or swept away.

The link is signed for one key, size, type and sha256, and creates only: S3 itself refuses other
bytes. What nobody confirms, or nobody attaches to an object, is removed after a while.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from models.artifacts import upload_key
from models.bucket import Bucket
from models.database import Session
from models.errors import Conflict, InvalidInput, NotFound
from models.failpoints import Failpoint, reach
from models.idempotency import Claim
from models.ids import new_id
from models.object import Object
from models.scope import Scope
from models.stored import now
from models.stores import Stores
from models.upload import Upload, UploadStatus
from workers.lifecycle import require_active
from workers.names import require_name
from workers.object_rows import MEDIA_TYPE

MIN_SECONDS: Final = 60
MAX_SECONDS: Final = 86_400
_GRACE: Final = timedelta(hours=1)  # for a confirmation that is on its way
_UNATTACHED: Final = timedelta(days=7)
_LENT: Final = timedelta(days=30)  # far longer than any import, should nobody see its end
_MAX_PENDING: Final = 10_000  # of a namespace
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SWEPT: Final = 100
_CHUNK: Final = 500


@dataclass(frozen=True)
class UploadDraft:
    """A file as a client announces it."""

    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    expires_seconds: int = 3600


@dataclass(frozen=True)
class UploadLink:
    """An upload, and the request that sends its bytes."""

    upload: Upload
    url: str
    headers: Mapping[str, str]


async def request_upload(
    stores: Stores,
    scope: Scope,
    bucket_id: str,
    draft: UploadDraft,
    *,
    claim: Claim | None = None,
) -> UploadLink:
    """Open an upload and sign its link.

    Raises:
        NotFound, Conflict: no such bucket, or it is being deleted; or too many uploads wait.
        InvalidInput: names what is wrong with the announcement.
    """
    bucket = await scope.require(Bucket, bucket_id, path=("bucketId",))
    require_active(bucket, path=("bucketId",))
    _require_draft(draft, limit=stores.settings.api.max_upload_bytes)
    if await scope.count(Upload, {"status": str(UploadStatus.PENDING)}) >= _MAX_PENDING:
        raise Conflict(
            f"{_MAX_PENDING} uploads wait for their bytes.",
            hint="Confirm them, or wait until their links have expired.",
        )
    expires = now() + timedelta(seconds=draft.expires_seconds)
    upload = Upload(
        id=new_id("upl"),
        namespace_id=scope.namespace_id,
        bucket_id=bucket.id,
        filename=draft.filename,
        media_type=draft.media_type.lower(),
        size_bytes=draft.size_bytes,
        sha256=draft.sha256,
        expires_at=expires,
        discard_at=expires + _GRACE,
    )
    link = await _sign(stores, upload, seconds=draft.expires_seconds)

    async def insert(session: Session) -> None:
        await Upload.get_pymongo_collection().insert_one(upload.to_mongo(), session=session)
        await (claim or Claim()).settle(session, upload_id=upload.id)

    await stores.database.transaction(insert)
    return link


async def recall_link(stores: Stores, scope: Scope, upload_id: str) -> UploadLink:
    """Sign the link of an upload again, for the time that it has left.

    Raises:
        NotFound: the upload was swept away.
        Conflict: its link has expired.
    """
    upload = await scope.require(Upload, upload_id)
    left = int((upload.expires_at - now()).total_seconds())
    if left < 1:
        raise Conflict(
            "The link that this key asked for has expired.",
            path=("idempotencyKey",),
            hint="Ask for another upload under a new key.",
        )
    return await _sign(stores, upload, seconds=left)


async def _sign(stores: Stores, upload: Upload, *, seconds: int) -> UploadLink:
    url, headers = await stores.artifacts.sign_upload(
        _key(upload), media_type=upload.media_type, size=upload.size_bytes, sha256=upload.sha256,
        seconds=seconds,
    )  # fmt: skip
    return UploadLink(upload, url, headers)


def _require_draft(draft: UploadDraft, *, limit: int) -> None:
    require_name(draft.filename, path=("filename",))
    if not MEDIA_TYPE.fullmatch(draft.media_type):
        raise InvalidInput("A media type looks like `image/png`.", path=("mediaType",))
    if not 1 <= draft.size_bytes <= limit:
        raise InvalidInput(f"An upload has 1 to {limit} bytes.", path=("sizeBytes",))
    if not _SHA256.fullmatch(draft.sha256):
        raise InvalidInput("A sha256 is 64 hexadecimal digits in lower case.", path=("sha256",))
    if not MIN_SECONDS <= draft.expires_seconds <= MAX_SECONDS:
        raise InvalidInput(
            f"A link is good for {MIN_SECONDS} to {MAX_SECONDS} seconds.", path=("expiresSeconds",)
        )


async def confirm_upload(stores: Stores, scope: Scope, upload_id: str) -> Upload:
    """Check that the bytes are there as promised; again, it answers as the first time.

    Raises:
        NotFound: no such upload, or it was swept away.
        InvalidInput: nothing is there yet, or something else.
    """
    upload = await scope.require(Upload, upload_id, path=("uploadId",))
    if upload.status is UploadStatus.CONFIRMED:
        return upload
    try:
        size, sha256 = await stores.artifacts.look_at_upload(_key(upload))
    except NotFound as error:
        raise InvalidInput(
            "The bytes have not arrived.", path=("uploadId",), hint="PUT them to the link first."
        ) from error
    if (size, sha256) != (upload.size_bytes, upload.sha256):
        raise InvalidInput(
            f"There are {size} bytes of sha256 {sha256}, which was not announced.",
            path=("uploadId",),
            hint="Ask for another upload with what the file really has.",
        )
    moment = now()
    values = {
        "status": str(UploadStatus.CONFIRMED),
        "confirmed_at": moment,
        "discard_at": moment + _UNATTACHED,
    }
    await Upload.get_pymongo_collection().update_one(
        {"_id": upload.id, "status": str(UploadStatus.PENDING)}, {"$set": values}
    )
    await reach(Failpoint.UPLOAD_CONFIRMED)
    confirmed = await scope.require(Upload, upload_id, path=("uploadId",))
    if confirmed.status is not UploadStatus.CONFIRMED:
        raise NotFound(f"No upload {upload_id!r} here.", path=("uploadId",))
    return confirmed


async def find_confirmed(scope: Scope, bucket_id: str, ids: Sequence[str]) -> dict[str, Upload]:
    """Return those of the uploads that objects of a bucket may refer to."""
    found = await scope.find_many(Upload, ids)
    return {
        one.id: one
        for one in found.values()
        if one.bucket_id == bucket_id and one.status is UploadStatus.CONFIRMED
    }


async def attach_uploads(session: Session, items: Sequence[Object]) -> None:
    """Give uploads to the objects that refer to them, and let go of those that they gave up.

    Belongs in the transaction that writes the objects.

    Raises:
        Conflict: another object was faster, or the sweep.
    """
    uploads = Upload.get_pymongo_collection()
    for item in items:
        ids = [blob.upload_id for blob in item.blobs if blob.upload_id is not None]
        if ids:
            taken = await uploads.update_many(
                {
                    "_id": {"$in": ids},
                    "status": str(UploadStatus.CONFIRMED),
                    "object_id": {"$in": [None, item.id]},
                    "task_id": None,
                },
                {"$set": {"object_id": item.id, "discard_at": None}},
                session=session,
            )
            if taken.matched_count != len(set(ids)):
                raise Conflict("An upload belongs to another object by now, or is gone.")
        await release_uploads(session, [item.id], keep=ids)


async def lend_upload(session: Session, upload: Upload, task_id: str) -> None:
    """Give a file to the import that reads it; belongs in the transaction that starts it.

    Raises:
        Conflict: an object or another import has it, or it is being discarded.
    """
    taken = await Upload.get_pymongo_collection().update_one(
        {
            "_id": upload.id, "status": str(UploadStatus.CONFIRMED), "object_id": None,
            "task_id": None,
        },
        {"$set": {"task_id": task_id, "discard_at": now() + _LENT}},
        session=session,
    )  # fmt: skip
    if not taken.matched_count:
        raise Conflict(
            "The upload belongs to an object or to another import.",
            path=("uploadId",),
            hint="Send the file again as another upload.",
        )


async def discard_lent(task_id: str, session: Session) -> None:
    """Let the sweep take the file of an import; belongs in the transaction that ends it."""
    await Upload.get_pymongo_collection().update_many(
        {"task_id": task_id}, {"$set": {"discard_at": now()}}, session=session
    )


async def release_uploads(
    session: Session, object_ids: Sequence[str], *, keep: Sequence[str] = ()
) -> None:
    """Let the sweep take the uploads of objects that are gone, or refer to them no longer."""
    await Upload.get_pymongo_collection().update_many(
        {"object_id": {"$in": list(object_ids)}, "_id": {"$nin": list(keep)}},
        {"$set": {"object_id": None, "discard_at": now()}},
        session=session,
    )


async def sweep_uploads(stores: Stores) -> int:
    """Remove uploads that nobody confirmed or attached in time; return how many."""
    swept = 0
    uploads = Upload.get_pymongo_collection()
    due = {"object_id": None, "$expr": {"$lt": ["$discard_at", "$$NOW"]}}
    for _ in range(_SWEPT):
        row = await uploads.find_one_and_update(
            {**due, "discard_at": {"$ne": None}}, {"$set": {"status": str(UploadStatus.DISCARDED)}}
        )
        if row is None:
            break
        await reach(Failpoint.UPLOAD_DISCARDED)
        await _remove(stores, [Upload.model_validate(row)])
        swept += 1
    return swept


async def delete_uploads(stores: Stores, scope: Scope, bucket_id: str) -> int:
    """Remove a chunk of the uploads of a bucket that is being deleted; return how many."""
    page = await scope.page(Upload, {"bucket_id": bucket_id}, limit=_CHUNK)
    await _remove(stores, page.items)
    return len(page.items)


async def _remove(stores: Stores, uploads: Sequence[Upload]) -> None:
    """Remove bytes first: a record without bytes is found again, bytes without one are not."""
    await stores.artifacts.delete_keys([_key(upload) for upload in uploads])
    await reach(Failpoint.UPLOAD_EMPTIED)
    match: dict[str, Any] = {"_id": {"$in": [upload.id for upload in uploads]}}
    await Upload.get_pymongo_collection().delete_many(match)


def _key(upload: Upload) -> str:
    return upload_key(upload.namespace_id, upload.id)
