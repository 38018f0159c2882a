"""Changes of objects that are there: metadata and tags, and their deletion, row by row."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pymongo import UpdateOne

from models.bucket import Bucket
from models.database import Session
from models.errors import InvalidInput, NotFound, StrataError
from models.events import EventType
from models.idempotency import Claim
from models.object import Object
from models.scope import Scope
from models.stored import now
from models.stores import Stores
from workers.intake import MAX_OBJECTS, ErrorPolicy, RowAnswer, RowOutcome
from workers.lifecycle import require_active
from workers.object_log import note_objects, remove_objects
from workers.object_replay import pack_rows
from workers.object_rows import ObjectDraft, build_object


@dataclass(frozen=True)
class ObjectChange:
    """What a client wants changed; what is None stays."""

    object_id: str
    metadata: Any = None  # merged key by key; a key with null is removed
    tags: Sequence[str] | None = None


async def update_objects(
    stores: Stores,
    scope: Scope,
    bucket_id: str,
    changes: Sequence[ObjectChange],
    *,
    error_policy: ErrorPolicy,
    claim: Claim | None = None,
) -> list[RowAnswer]:
    """Change objects of a bucket in one transaction; one answer a row, in order.

    Documents made of them stay as they are until a batch runs over the objects again.

    Raises:
        NotFound, Conflict: no such bucket, or it is being deleted.
        InvalidInput: too many rows.
    """
    bucket = await _bucket(scope, bucket_id, len(changes))
    update = partial(_update_all, stores, bucket, changes, error_policy)
    return await _commit(stores, bucket, update, claim)


async def delete_objects(
    stores: Stores,
    scope: Scope,
    bucket_id: str,
    object_ids: Sequence[str],
    *,
    error_policy: ErrorPolicy,
    claim: Claim | None = None,
) -> list[RowAnswer]:
    """Delete objects of a bucket in one transaction; one answer a row, in order.

    A good answer holds the object as it was. Documents made of them stay.

    Raises:
        NotFound, Conflict: no such bucket, or it is being deleted.
        InvalidInput: too many rows.
    """
    bucket = await _bucket(scope, bucket_id, len(object_ids))
    delete = partial(_delete_all, bucket, object_ids, error_policy)
    return await _commit(stores, bucket, delete, claim)


async def _commit(
    stores: Stores,
    bucket: Bucket,
    change: Callable[[Session], Awaitable[list[RowAnswer]]],
    claim: Claim | None,
) -> list[RowAnswer]:
    async def work(session: Session) -> list[RowAnswer]:
        answers = await change(session)
        await (claim or Claim()).settle(session, rows=pack_rows(answers))
        return answers

    answers = await stores.database.transaction(work)
    await stores.bus.announce_log(bucket.namespace_id)
    return answers


async def _bucket(scope: Scope, bucket_id: str, rows: int) -> Bucket:
    if rows > MAX_OBJECTS:
        raise InvalidInput(f"{rows} objects in one call; at most {MAX_OBJECTS}.", path=("objects",))
    bucket = await scope.require(Bucket, bucket_id, path=("bucketId",))
    require_active(bucket, path=("bucketId",))
    return bucket


async def _found(bucket: Bucket, ids: Sequence[str], session: Session) -> dict[str, Object]:
    match = {"namespace_id": bucket.namespace_id, "bucket_id": bucket.id, "_id": {"$in": list(ids)}}
    rows = Object.get_pymongo_collection().find(match, session=session)
    return {row["_id"]: Object.model_validate(row) async for row in rows}


async def _update_all(
    stores: Stores,
    bucket: Bucket,
    changes: Sequence[ObjectChange],
    error_policy: ErrorPolicy,
    session: Session,
) -> list[RowAnswer]:
    found = await _found(bucket, [change.object_id for change in changes], session)
    answers = []
    for row, change in enumerate(changes):
        answer = _changed(stores, bucket, row, change, found)
        if answer.object is not None:
            found[change.object_id] = answer.object  # a later row builds on it
        answers.append(answer)
    if _rejects(answers, error_policy):
        return [RowAnswer(errors=answer.errors) for answer in answers]
    updated = {
        answer.object.id: answer.object
        for answer in answers
        if answer.outcome is RowOutcome.UPDATED and answer.object is not None
    }
    if updated:
        await Object.get_pymongo_collection().bulk_write(
            [
                UpdateOne(
                    {"_id": item.id},
                    {"$set": {
                        "metadata": item.metadata, "tags": item.tags, "updated_at": item.updated_at,
                    }},
                )
                for item in updated.values()
            ],
            session=session,
        )  # fmt: skip
        await note_objects(session, bucket, EventType.OBJECT_UPDATED, list(updated))
    return answers


def _changed(
    stores: Stores, bucket: Bucket, row: int, change: ObjectChange, found: dict[str, Object]
) -> RowAnswer:
    path = ("objects", str(row))
    old = found.get(change.object_id)
    if old is None:
        return _refused(NotFound(f"No object {change.object_id!r} here.", path=(*path, "id")))
    try:
        made = build_object(stores, bucket, _draft(bucket, old, change, path), path=path)
    except InvalidInput as error:
        return _refused(error)
    if made.key != old.key:
        return _refused(
            InvalidInput("The fields of the unique key do not change.", path=(*path, "metadata"))
        )
    if (made.metadata, made.tags) == (old.metadata, old.tags):
        return RowAnswer(RowOutcome.UNCHANGED, old)
    values = {"metadata": made.metadata, "tags": made.tags, "updated_at": now()}
    return RowAnswer(RowOutcome.UPDATED, old.model_copy(update=values))


def _draft(bucket: Bucket, old: Object, change: ObjectChange, path: tuple[str, ...]) -> ObjectDraft:
    merged = dict(old.metadata)
    if change.metadata is not None:
        if not isinstance(change.metadata, dict):
            raise InvalidInput("Metadata must be a JSON object.", path=(*path, "metadata"))
        merged |= change.metadata
        removed = {key for key, value in change.metadata.items() if value is None}
        merged = {key: value for key, value in merged.items() if key not in removed}
    tags = old.tags if change.tags is None else change.tags
    key = None if bucket.unique_key is not None else old.key
    return ObjectDraft(key, merged, old.blobs, tags)


async def _delete_all(
    bucket: Bucket, object_ids: Sequence[str], error_policy: ErrorPolicy, session: Session
) -> list[RowAnswer]:
    found = await _found(bucket, object_ids, session)
    answers = [
        RowAnswer(RowOutcome.DELETED, found[one])
        if one in found
        else _refused(NotFound(f"No object {one!r} here.", path=("objectIds", str(row))))
        for row, one in enumerate(object_ids)
    ]
    if _rejects(answers, error_policy):
        return [RowAnswer(errors=answer.errors) for answer in answers]
    await remove_objects(bucket, list(found), session)
    return answers


def _refused(error: StrataError) -> RowAnswer:
    return RowAnswer(errors=[error])


def _rejects(answers: Sequence[RowAnswer], error_policy: ErrorPolicy) -> bool:
    return error_policy is ErrorPolicy.REJECT_ALL and any(answer.errors for answer in answers)
