"""Buckets and the objects that enter them: checked row by row, written together."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from pymongo.errors import BulkWriteError, DuplicateKeyError

from models.artifacts import parse_s3_url
from models.bucket import Bucket
from models.database import Session
from models.errors import Conflict, InvalidInput, NameTaken
from models.events import EventType, SubjectType, append_notice
from models.fields import FieldSpec, accepts
from models.idempotency import Claim
from models.ids import new_id
from models.object import Blob, Object
from models.scope import Scope
from models.states import Lifecycle
from models.stores import Stores
from workers.lifecycle import require_active
from workers.names import require_field_name, require_json, require_name, require_text

MAX_OBJECTS: Final = 1000  # of one call
_DUPLICATE_KEY: Final = 11000
_NOTICE_IDS: Final = 500  # of one notice: as a webhook's body it stays below 20 kB
_MEDIA_TYPE: Final = re.compile(
    r"[a-z0-9][a-z0-9.+-]{0,63}/[a-z0-9][a-z0-9.+-]{0,127}", re.I | re.A
)
_MAX_SIZE: Final = 2**63


@dataclass(frozen=True)
class ObjectDraft:
    """An object as a client describes it."""

    key: str | None
    metadata: Any
    blobs: Sequence[Blob]


async def open_bucket(
    scope: Scope,
    name: str,
    *,
    description: str,
    fields: Sequence[FieldSpec],
    claim: Claim | None = None,
) -> Bucket:
    """Create a bucket.

    Raises:
        InvalidInput: a bad name, or a field named twice.
        NameTaken: the namespace has a bucket of that name.
    """
    require_name(name)
    require_text(description, path=("description",))
    seen: set[str] = set()
    for index, field in enumerate(fields):
        require_field_name(field.name, path=("fields", str(index), "name"))
        if field.name in seen:
            raise InvalidInput(f"Field {field.name!r} twice.", path=("fields", str(index), "name"))
        seen.add(field.name)
    bucket = Bucket(
        id=new_id("bkt"),
        namespace_id=scope.namespace_id,
        name=name,
        description=description,
        fields=list(fields),
    )

    async def insert(session: Session) -> None:
        await Bucket.get_pymongo_collection().insert_one(bucket.to_mongo(), session=session)

    try:
        await (claim or Claim()).commit(insert, bucket_id=bucket.id)
    except DuplicateKeyError as error:
        raise NameTaken(f"A bucket {name!r} exists.", path=("name",)) from error
    return bucket


async def register_objects(
    stores: Stores, scope: Scope, bucket_id: str, drafts: Sequence[ObjectDraft]
) -> list[Object | InvalidInput | NameTaken]:
    """Register objects; one answer a row, in order: a bad row leaves its neighbours alone.

    Raises:
        NotFound: no such bucket.
        Conflict: the bucket is being deleted.
        InvalidInput: too many rows.
    """
    if len(drafts) > MAX_OBJECTS:
        raise InvalidInput(
            f"{len(drafts)} objects in one call; at most {MAX_OBJECTS}.", path=("objects",)
        )
    bucket = await scope.require(Bucket, bucket_id, path=("bucketId",))
    require_active(bucket, path=("bucketId",))
    answers = [_build(stores, bucket, row, draft) for row, draft in enumerate(drafts)]
    items = [item for item in answers if isinstance(item, Object)]
    taken = await _insert(stores, bucket, items)
    await _require_still_active(stores, scope, bucket, items)
    return [
        NameTaken(
            f"The bucket has an object with key {answer.key!r}.",
            path=("objects", str(row), "key"),
        )
        if isinstance(answer, Object) and answer.id in taken
        else answer
        for row, answer in enumerate(answers)
    ]


async def _require_still_active(
    stores: Stores, scope: Scope, bucket: Bucket, items: Sequence[Object]
) -> None:
    """Take back what was written if a deletion of the bucket began: it may have gone past it."""
    present = await scope.find(Bucket, bucket.id)
    if present is not None and present.lifecycle is Lifecycle.ACTIVE:
        return
    ids = [item.id for item in items]
    await stores.database.transaction(partial(remove_objects, bucket, ids))
    await stores.bus.announce_log(bucket.namespace_id)
    raise Conflict(f"Bucket {bucket.name!r} is being deleted.", path=("bucketId",))


async def _insert(stores: Stores, bucket: Bucket, items: Sequence[Object]) -> set[str]:
    """Write the good rows and their notice together; return the ids of those whose key is in use.

    A transaction ends at the first duplicate: the rows that are in its way are left out, and the
    rest is tried again.
    """
    taken: set[str] = set()
    while new := [item for item in items if item.id not in taken]:
        try:
            await stores.database.transaction(partial(_insert_all, bucket, new))
        except BulkWriteError as error:
            if any(one["code"] != _DUPLICATE_KEY for one in error.details["writeErrors"]):
                raise
            taken |= await _taken(bucket, new)
        else:
            await stores.bus.announce_log(bucket.namespace_id)
            break
    return taken


async def _insert_all(bucket: Bucket, items: Sequence[Object], session: Session) -> None:
    rows = [item.to_mongo() for item in items]
    await Object.get_pymongo_collection().insert_many(rows, session=session)
    await note_objects(session, bucket, EventType.OBJECT_CREATED, [item.id for item in items])


async def remove_objects(bucket: Bucket, object_ids: Sequence[str], session: Session) -> int:
    """Delete objects of a bucket with their notice; return how many there were.

    The caller announces the log after the commit.
    """
    match = {"namespace_id": bucket.namespace_id, "bucket_id": bucket.id}
    result = await Object.get_pymongo_collection().delete_many(
        {**match, "_id": {"$in": list(object_ids)}}, session=session
    )
    if result.deleted_count:
        await note_objects(session, bucket, EventType.OBJECT_DELETED, object_ids)
    return result.deleted_count


async def _taken(bucket: Bucket, items: Sequence[Object]) -> set[str]:
    """Return the ids of items whose key is in use, by another object or an earlier item."""
    keys = [item.key for item in items if item.key is not None]
    found = Object.get_pymongo_collection().find(
        {"bucket_id": bucket.id, "key": {"$in": keys}}, {"key": 1}
    )
    used = {row["key"] async for row in found}
    taken: set[str] = set()
    for item in items:
        if item.key in used:
            taken.add(item.id)
        elif item.key is not None:
            used.add(item.key)
    return taken


async def note_objects(
    session: Session, bucket: Bucket, kind: EventType, object_ids: Sequence[str]
) -> None:
    """Write what happened to objects of one call: few notices, for intake is not to wait for them.

    The caller announces the log after the commit.
    """
    for start in range(0, len(object_ids), _NOTICE_IDS):
        ids = list(object_ids[start : start + _NOTICE_IDS])
        await append_notice(
            session,
            bucket.namespace_id,
            kind,
            (SubjectType.BUCKET, bucket.id),
            data={"objectIds": ids, "objectCount": len(ids)},
            bucket_id=bucket.id,
        )


def _build(stores: Stores, bucket: Bucket, row: int, draft: ObjectDraft) -> Object | InvalidInput:
    path = ("objects", str(row))
    try:
        metadata = _metadata(draft.metadata, (*path, "metadata"))
        if draft.key is not None:
            require_name(draft.key, path=(*path, "key"))
        taken = set(metadata)
        for index, blob in enumerate(draft.blobs):
            _require_blob(stores, blob, taken, path=(*path, "blobs", str(index)))
            taken.add(blob.property)
        _require_schema(bucket, metadata, draft.blobs, path=path)
    except InvalidInput as error:
        return error
    return Object(
        id=new_id("obj"),
        namespace_id=bucket.namespace_id,
        bucket_id=bucket.id,
        key=draft.key,
        metadata=metadata,
        blobs=list(draft.blobs),
    )


def _metadata(value: Any, path: tuple[str, ...]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput("Metadata must be a JSON object.", path=path)
    require_json(value, path=path)  # first: a key that is no text must not get into a path
    for key in value:
        require_field_name(key, path=(*path, key))
    return value


def _require_blob(
    stores: Stores, blob: Blob, taken: Collection[str], *, path: tuple[str, ...]
) -> None:
    require_field_name(blob.property, path=(*path, "property"))
    if blob.property in taken:
        raise InvalidInput(
            f"The object has a field {blob.property!r} already.", path=(*path, "property")
        )
    if (blob.text is None) == (blob.url is None):
        raise InvalidInput("Give exactly one of `text` and `url`.", path=path)
    if blob.text is not None:
        require_text(blob.text, path=(*path, "text"))
        limit = stores.settings.api.max_text_bytes
        if len(blob.text.encode()) > limit:
            raise InvalidInput(
                f"Inline text is limited to {limit} bytes.",
                path=(*path, "text"),
                hint="Store it on S3 and give its address as `url`.",
            )
    if blob.url is not None:
        s3_bucket, _ = parse_s3_url(blob.url, path=(*path, "url"))
        stores.artifacts.require_source(s3_bucket, path=(*path, "url"))
    if blob.media_type is not None and not _MEDIA_TYPE.fullmatch(blob.media_type):
        raise InvalidInput("A media type looks like `image/png`.", path=(*path, "mediaType"))
    if blob.size_bytes is not None and not 0 <= blob.size_bytes < _MAX_SIZE:
        raise InvalidInput("A size is a number of bytes.", path=(*path, "sizeBytes"))


def _require_schema(
    bucket: Bucket, metadata: dict[str, Any], blobs: Sequence[Blob], *, path: tuple[str, ...]
) -> None:
    values: dict[str, Any] = {**metadata, **{blob.property: blob.text or "" for blob in blobs}}
    for field in bucket.fields:
        value = values.get(field.name)
        if value is None:
            if field.required:
                raise InvalidInput(
                    f"Required field {field.name!r} is missing.", path=(*path, field.name)
                )
        elif not accepts(field.type, value):
            raise InvalidInput(
                f"Field {field.name!r} must be {field.type}.", path=(*path, field.name)
            )
