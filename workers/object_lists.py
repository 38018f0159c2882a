"""Reading objects: which ones a filter means, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from models.bucket import Bucket
from models.errors import InvalidInput
from models.filter_match import build_match, field_path
from models.filters import Filter
from models.ordering import Order
from models.scope import Scope
from workers.names import require_text
from workers.sources import SourceSchema, check_filter

_UNDER: Final = "metadata"
_MAX_KEYS: Final = 1000


@dataclass(frozen=True)
class ObjectSelection:
    """Which objects of a bucket; every part that is given must fit."""

    bucket_id: str
    keys: Sequence[str] | None = None
    tags: Sequence[str] | None = None
    where: Filter | None = None


async def select_objects(scope: Scope, selection: ObjectSelection) -> dict[str, Any]:
    """Return the query for a selection.

    Raises:
        NotFound: no such bucket.
        InvalidInput: the filter makes no sense, or names a field that objects do not have.
    """
    bucket = await scope.require(Bucket, selection.bucket_id, path=("bucketId",))
    match: dict[str, Any] = {"bucket_id": bucket.id}
    for name, words in (("keys", selection.keys), ("tags", selection.tags)):
        for index, word in enumerate(words or ()):
            require_text(word, path=("filter", name, str(index)))
    if selection.keys is not None:
        if len(selection.keys) > _MAX_KEYS:
            raise InvalidInput(f"At most {_MAX_KEYS} keys.", path=("filter", "keys"))
        # The type lets the index of keys serve: it knows objects with a key only.
        match["key"] = {"$in": list(selection.keys), "$type": "string"}
    if selection.tags:
        match["tags"] = {"$all": list(selection.tags)}
    if selection.where is None:
        return match
    checked = check_filter(selection.where, _schema(bucket), where=("filter", "where"))
    return {"$and": [match, build_match(checked, under=_UNDER)]}


async def object_order(scope: Scope, bucket_id: str, field: str, *, descending: bool) -> Order:
    """Return the order by the key or a field of the metadata; raises InvalidInput."""
    bucket = await scope.require(Bucket, bucket_id, path=("bucketId",))
    if field == "key":
        return Order("key", descending)
    _schema(bucket).require_path(field, ("orderBy", "field"))
    return Order(field_path(_UNDER, field), descending)


def _schema(bucket: Bucket) -> SourceSchema:
    known = {one.name: one.type for one in bucket.fields}
    return SourceSchema(known or None)
