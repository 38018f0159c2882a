"""Buckets and the objects that enter them: checked row by row, written together."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import BulkWriteError, DuplicateKeyError

from models.artifacts import parse_s3_url
from models.bucket import Bucket
from models.database import Session
from models.errors import InvalidInput, NameTaken
from models.fields import FieldSpec, accepts
from models.idempotency import Claim
from models.ids import new_id
from models.object import Blob, Object
from models.scope import Scope
from models.stores import Stores
from workers.names import require_field_name, require_json, require_name, require_text

MAX_OBJECTS: Final = 1000  # of one call
_DUPLICATE_KEY: Final = 11000


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
        InvalidInput: too many rows.
    """
    if len(drafts) > MAX_OBJECTS:
        raise InvalidInput(
            f"{len(drafts)} objects in one call; at most {MAX_OBJECTS}.", path=("objects",)
        )
    bucket = await scope.require(Bucket, bucket_id, path=("bucketId",))
    answers = [_build(stores, bucket, row, draft) for row, draft in enumerate(drafts)]
    taken = await _insert([item for item in answers if isinstance(item, Object)])
    return [
        NameTaken(
            f"The bucket has an object with key {answer.key!r}.",
            path=("objects", str(row), "key"),
        )
        if isinstance(answer, Object) and answer.id in taken
        else answer
        for row, answer in enumerate(answers)
    ]


async def _insert(items: Sequence[Object]) -> set[str]:
    """Write the good rows; return the ids of those whose key is in use."""
    if not items:
        return set()
    rows = [item.to_mongo() for item in items]
    try:
        await Object.get_pymongo_collection().insert_many(rows, ordered=False)
    except BulkWriteError as error:
        failures = error.details["writeErrors"]
        if any(failure["code"] != _DUPLICATE_KEY for failure in failures):
            raise
        return {rows[failure["index"]]["_id"] for failure in failures}
    return set()


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
