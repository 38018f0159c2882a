"""Buckets: how one is opened and changed."""

from collections.abc import Sequence
from typing import Final

from pymongo.errors import DuplicateKeyError

from models.bucket import Bucket, UniqueKey
from models.database import Session
from models.errors import Conflict, InvalidInput, NameTaken
from models.fields import FieldSpec, FieldType
from models.idempotency import Claim
from models.ids import new_id
from models.scope import Scope
from workers.lifecycle import require_active
from workers.names import require_field_name, require_name, require_text

_SCALARS: Final = frozenset(
    {FieldType.STRING, FieldType.NUMBER, FieldType.INTEGER, FieldType.BOOLEAN, FieldType.DATETIME}
)


async def open_bucket(
    scope: Scope,
    name: str,
    *,
    description: str,
    fields: Sequence[FieldSpec],
    unique_key: UniqueKey | None = None,
    claim: Claim | None = None,
) -> Bucket:
    """Create a bucket.

    Raises:
        InvalidInput: a bad name, a field named twice, or a unique key that objects may lack.
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
    if unique_key is not None:
        _require_unique_key(unique_key, fields)
    bucket = Bucket(
        id=new_id("bkt"),
        namespace_id=scope.namespace_id,
        name=name,
        description=description,
        fields=list(fields),
        unique_key=unique_key,
    )

    async def insert(session: Session) -> None:
        await Bucket.get_pymongo_collection().insert_one(bucket.to_mongo(), session=session)

    try:
        await (claim or Claim()).commit(insert, bucket_id=bucket.id)
    except DuplicateKeyError as error:
        raise NameTaken(f"A bucket {name!r} exists.", path=("name",)) from error
    return bucket


def _require_unique_key(unique_key: UniqueKey, fields: Sequence[FieldSpec]) -> None:
    """Refuse a unique key whose fields objects may lack, or that has no fields."""
    known = {field.name: field for field in fields}
    if not unique_key.fields or len(set(unique_key.fields)) < len(unique_key.fields):
        raise InvalidInput("A unique key has one field or more.", path=("uniqueKey", "fields"))
    for index, name in enumerate(unique_key.fields):
        field = known.get(name)
        if field is None or not field.required or field.type not in _SCALARS:
            raise InvalidInput(
                f"{name!r} is no required field of one value.",
                path=("uniqueKey", "fields", str(index)),
                hint="Declare it in `fields` as required, with a type such as STRING or INTEGER.",
            )


async def update_bucket(
    scope: Scope,
    bucket_id: str,
    *,
    name: str | None,
    description: str | None,
    add_fields: Sequence[FieldSpec],
) -> Bucket:
    """Rename a bucket, describe it, or add optional fields; what is there keeps its meaning.

    Raises:
        NotFound: no such bucket.
        Conflict: the bucket is being deleted.
        InvalidInput: a bad name, or a field that is there already or would be required.
        NameTaken: the namespace has a bucket of that name.
    """
    bucket = await scope.require(Bucket, bucket_id, path=("id",))
    require_active(bucket, path=("id",))
    values: dict[str, object] = {}
    if name is not None:
        require_name(name)
        values["name"] = name
    if description is not None:
        require_text(description, path=("description",))
        values["description"] = description
    known = {field.name for field in bucket.fields}
    for index, field in enumerate(add_fields):
        path = ("addFields", str(index))
        require_field_name(field.name, path=(*path, "name"))
        if field.name in known:
            raise InvalidInput(f"The bucket has a field {field.name!r}.", path=(*path, "name"))
        if field.required:
            raise InvalidInput(
                "Objects that are there lack it: a new field is optional.", path=(*path, "required")
            )
        known.add(field.name)
    change: dict[str, object] = {"$set": values} if values else {}
    if add_fields:
        change["$push"] = {"fields": {"$each": [field.model_dump() for field in add_fields]}}
    if change:
        unchanged = {"_id": bucket.id, "fields": [one.model_dump() for one in bucket.fields]}
        try:
            done = await Bucket.get_pymongo_collection().update_one(unchanged, change)
        except DuplicateKeyError as error:
            raise NameTaken(f"A bucket {name!r} exists.", path=("name",)) from error
        if not done.matched_count:
            raise Conflict("The bucket's fields were changed meanwhile.", hint="Try again.")
    return await scope.require(Bucket, bucket_id, path=("id",))
