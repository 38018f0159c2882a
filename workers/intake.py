"""Objects that enter a bucket: checked row by row, written together, told of in one notice.

A row is new or, by the bucket's key, known; the policy says which of the two it may be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from models.artifacts import upload_key
from models.bucket import Bucket, WritePolicy
from models.database import Session
from models.errors import Conflict, InvalidInput, NameTaken, NotFound, StrataError
from models.events import EventType
from models.failpoints import Failpoint, reach
from models.idempotency import Claim
from models.object import Blob, Object
from models.scope import Scope
from models.states import Lifecycle
from models.stored import now
from models.stores import Stores
from models.upload import Upload
from workers.buckets import open_bucket
from workers.lifecycle import require_active
from workers.object_log import note_objects, remove_objects
from workers.object_replay import pack_rows
from workers.object_rows import ObjectDraft, build_object, build_without_bad_fields
from workers.row_answers import RowAnswer, RowOutcome
from workers.uploads import attach_uploads, find_confirmed

__all__ = [
    "ObjectDraft",
    "RowAnswer",
    "RowOutcome",
    "open_bucket",
]  # callers of this floor take them from here

MAX_OBJECTS: Final = 1000  # of one call
_DUPLICATE_KEY: Final = 11000
_TRIES: Final = 5  # when others write the same keys


class ErrorPolicy(StrEnum):
    """What a bad row means for the others."""

    REJECT_ALL = "REJECT_ALL"
    REJECT_FAILED_ROWS = "REJECT_FAILED_ROWS"
    IGNORE_FAILED_FIELDS = "IGNORE_FAILED_FIELDS"


@dataclass
class _Row:
    """A row on its way: `item` is what it would be as a new object."""

    number: int
    answer: RowAnswer
    item: Object | None = None


async def register_objects(
    stores: Stores, scope: Scope, bucket_id: str, drafts: Sequence[ObjectDraft]
) -> list[Object | StrataError]:
    """Register new objects; one answer a row, in order: a bad row leaves its neighbours alone.

    Raises:
        NotFound, Conflict, InvalidInput: as `write_objects`.
    """
    answers = await write_objects(
        stores, scope, bucket_id, drafts,
        policy=WritePolicy.INSERT, error_policy=ErrorPolicy.REJECT_FAILED_ROWS,
    )  # fmt: skip
    return [answer.object or answer.errors[0] for answer in answers]


async def write_objects(
    stores: Stores,
    scope: Scope,
    bucket_id: str,
    drafts: Sequence[ObjectDraft],
    *,
    policy: WritePolicy | None,
    error_policy: ErrorPolicy,
    claim: Claim | None = None,
) -> list[RowAnswer]:
    """Write rows into a bucket; one answer a row, in order.

    Without a policy the bucket's own counts, and without that only new objects are taken.

    Raises:
        NotFound: no such bucket.
        Conflict: the bucket is being deleted; or others kept writing the same keys.
        InvalidInput: too many rows.
    """
    if len(drafts) > MAX_OBJECTS:
        raise InvalidInput(
            f"{len(drafts)} objects in one call; at most {MAX_OBJECTS}.", path=("objects",)
        )
    bucket = await scope.require(Bucket, bucket_id, path=("bucketId",))
    require_active(bucket, path=("bucketId",))
    uploads = await find_confirmed(scope, bucket.id, _upload_ids(drafts))
    rows = [
        _check(stores, bucket, number, draft, error_policy, uploads)
        for number, draft in enumerate(drafts)
    ]
    held = claim or Claim()
    if _rejects_all(rows, error_policy):
        await held.settle(None, rows=pack_rows([row.answer for row in rows]))
    else:
        await _write(stores, bucket, rows, _chosen(bucket, policy), error_policy, held)
    await _require_still_active(stores, scope, bucket, rows)
    return [row.answer for row in rows]


async def check_objects(
    stores: Stores,
    scope: Scope,
    bucket: Bucket,
    drafts: Sequence[ObjectDraft],
    *,
    policy: WritePolicy | None,
    error_policy: ErrorPolicy,
) -> list[RowAnswer]:
    """Answer as `write_objects` would for now, writing nothing."""
    uploads = await find_confirmed(scope, bucket.id, _upload_ids(drafts))
    rows = [
        _check(stores, bucket, number, draft, error_policy, uploads)
        for number, draft in enumerate(drafts)
    ]
    known, seen = await _known(bucket, rows, None), set[str]()
    return [_answer(row, known, seen, _chosen(bucket, policy)) for row in rows]


def _chosen(bucket: Bucket, policy: WritePolicy | None) -> WritePolicy:
    unique = bucket.unique_key
    return policy or (unique.default_policy if unique else None) or WritePolicy.INSERT


def require_distinct(refs: Sequence[str | None]) -> None:
    """Refuse a request in which two rows have one reference: nobody could tell them apart."""
    seen: set[str] = set()
    for row, ref in enumerate(refs):
        if ref is None:
            continue
        if ref in seen:
            raise InvalidInput(
                "Another row has the same clientRef.", path=("objects", str(row), "clientRef")
            )
        seen.add(ref)


def _upload_ids(drafts: Sequence[ObjectDraft]) -> list[str]:
    return [
        blob.upload_id for draft in drafts for blob in draft.blobs if blob.upload_id is not None
    ]


def _check(
    stores: Stores,
    bucket: Bucket,
    number: int,
    draft: ObjectDraft,
    error_policy: ErrorPolicy,
    uploads: Mapping[str, Upload],
) -> _Row:
    row, path = _Row(number, RowAnswer()), ("objects", str(number))
    errors: Sequence[StrataError] = []
    try:
        draft = _with_uploads(stores, draft, uploads, path)
        if error_policy is ErrorPolicy.IGNORE_FAILED_FIELDS:
            row.item, errors = build_without_bad_fields(stores, bucket, draft, path=path)
        else:
            row.item = build_object(stores, bucket, draft, path=path)
    except InvalidInput as error:
        errors = [error]
    row.answer.errors.extend(errors)
    return row


def _with_uploads(
    stores: Stores, draft: ObjectDraft, uploads: Mapping[str, Upload], path: tuple[str, ...]
) -> ObjectDraft:
    """Put the address of each upload in place of its id; raises InvalidInput."""
    blobs: list[Blob] = []
    for index, blob in enumerate(draft.blobs):
        if blob.upload_id is None:
            blobs.append(blob)
            continue
        where = (*path, "blobs", str(index))
        upload = uploads.get(blob.upload_id)
        if blob.text is not None or blob.url is not None:
            raise InvalidInput("Give exactly one of `text`, `url` and `uploadId`.", path=where)
        if upload is None:
            raise InvalidInput(
                f"{blob.upload_id!r} is no confirmed upload of this bucket.",
                path=(*where, "uploadId"),
                hint="Call confirmUpload first.",
            )
        values = {
            "url": stores.artifacts.address(upload_key(upload.namespace_id, upload.id)),
            "media_type": blob.media_type or upload.media_type,
            "size_bytes": upload.size_bytes,
        }
        blobs.append(blob.model_copy(update=values))
    return replace(draft, blobs=blobs)


def _rejects_all(rows: Sequence[_Row], error_policy: ErrorPolicy) -> bool:
    return error_policy is ErrorPolicy.REJECT_ALL and any(row.answer.errors for row in rows)


async def _write(
    stores: Stores,
    bucket: Bucket,
    rows: Sequence[_Row],
    policy: WritePolicy,
    error_policy: ErrorPolicy,
    claim: Claim,
) -> None:
    """Write the good rows and their notices in one transaction.

    It ends at the first key that somebody else has just taken; then all of it is tried again, and
    that key is known.
    """
    for _ in range(_TRIES):
        try:
            answers = await stores.database.transaction(
                partial(_write_and_settle, bucket, rows, policy, error_policy, claim)
            )
        except BulkWriteError as error:
            if any(one["code"] != _DUPLICATE_KEY for one in error.details["writeErrors"]):
                raise
        else:
            for row, answer in zip(rows, answers, strict=True):
                row.answer = answer
            await reach(Failpoint.OBJECTS_WRITTEN)
            await stores.bus.announce_log(bucket.namespace_id)
            return
    raise Conflict("Others keep writing objects of the same keys.", hint="Try again.")


async def _write_and_settle(
    bucket: Bucket,
    rows: Sequence[_Row],
    policy: WritePolicy,
    error_policy: ErrorPolicy,
    claim: Claim,
    session: Session,
) -> list[RowAnswer]:
    answers = await _write_all(bucket, rows, policy, error_policy, session)
    await claim.settle(session, rows=pack_rows(answers))
    return answers


async def _write_all(
    bucket: Bucket,
    rows: Sequence[_Row],
    policy: WritePolicy,
    error_policy: ErrorPolicy,
    session: Session,
) -> list[RowAnswer]:
    known = await _known(bucket, rows, session)
    seen: set[str] = set()
    answers = [_answer(row, known, seen, policy) for row in rows]
    if error_policy is ErrorPolicy.REJECT_ALL and any(answer.errors for answer in answers):
        return [RowAnswer(errors=answer.errors) for answer in answers]
    created = _with(answers, RowOutcome.CREATED)
    updated = _with(answers, RowOutcome.UPDATED)
    objects = Object.get_pymongo_collection()
    if created:
        await objects.insert_many([item.to_mongo() for item in created], session=session)
        await attach_uploads(session, [item for item in created if item.uses_uploads])
        ids = [item.id for item in created]
        await note_objects(session, bucket, EventType.OBJECT_CREATED, ids)
    if updated:
        await objects.bulk_write([_update(item) for item in updated], session=session)
        before = {one.id: one.uses_uploads for one in known.values()}
        holders = [item for item in updated if item.uses_uploads or before[item.id]]
        await attach_uploads(session, holders)
        ids = [item.id for item in updated]
        await note_objects(session, bucket, EventType.OBJECT_UPDATED, ids)
    return answers


async def _known(
    bucket: Bucket, rows: Sequence[_Row], session: Session | None
) -> dict[str, Object]:
    keys = [row.item.key for row in rows if row.item is not None and row.item.key is not None]
    if not keys:
        return {}
    found = Object.get_pymongo_collection().find(
        {"bucket_id": bucket.id, "key": {"$in": keys, "$type": "string"}}, session=session
    )
    return {row["key"]: Object.model_validate(row) async for row in found}


def _answer(row: _Row, known: dict[str, Object], seen: set[str], policy: WritePolicy) -> RowAnswer:
    """Decide what a row is: new, known and changed, known and the same, or refused."""
    item, errors = row.item, row.answer.errors
    if item is None:
        return RowAnswer(errors=errors)
    path = ("objects", str(row.number), "key")
    if item.key is not None and item.key in seen:
        twice = NameTaken(f"An earlier row has the key {item.key!r}.", path=path)
        return RowAnswer(errors=[*errors, twice])
    if item.key is not None:
        seen.add(item.key)
    old = None if item.key is None else known.get(item.key)
    if old is None and policy is WritePolicy.UPDATE:
        absent = NotFound(f"The bucket has no object with key {item.key!r}.", path=path)
        return RowAnswer(errors=[*errors, absent])
    if old is None:
        return RowAnswer(RowOutcome.CREATED, item, errors)
    if policy is WritePolicy.INSERT:
        taken = NameTaken(f"The bucket has an object with key {item.key!r}.", path=path)
        return RowAnswer(errors=[*errors, taken])
    same = (old.metadata, old.blobs, old.tags) == (item.metadata, item.blobs, item.tags)
    if same:
        return RowAnswer(RowOutcome.UNCHANGED, old, errors)
    changed = old.model_copy(
        update={
            "metadata": item.metadata, "blobs": item.blobs, "tags": item.tags, "updated_at": now(),
        }
    )  # fmt: skip
    return RowAnswer(RowOutcome.UPDATED, changed, errors)


def _with(answers: Sequence[RowAnswer], outcome: RowOutcome) -> list[Object]:
    return [one.object for one in answers if one.outcome is outcome and one.object is not None]


def _update(item: Object) -> UpdateOne:
    values: dict[str, Any] = item.to_mongo()
    changed = {name: values[name] for name in ("key", "metadata", "blobs", "tags", "updated_at")}
    return UpdateOne({"_id": item.id}, {"$set": changed})


async def _require_still_active(
    stores: Stores, scope: Scope, bucket: Bucket, rows: Sequence[_Row]
) -> None:
    """Take back what was written if a deletion of the bucket began: it may have gone past it."""
    present = await scope.find(Bucket, bucket.id)
    if present is not None and present.lifecycle is Lifecycle.ACTIVE:
        return
    ids = [item.id for item in _with([row.answer for row in rows], RowOutcome.CREATED)]
    await stores.database.transaction(partial(remove_objects, bucket, ids))
    await stores.bus.announce_log(bucket.namespace_id)
    raise Conflict(f"Bucket {bucket.name!r} is being deleted.", path=("bucketId",))
