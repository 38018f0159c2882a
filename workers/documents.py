"""Reading documents: which ones a filter means, how often values occur, what came of what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from models.collection import Collection
from models.document import Document
from models.errors import InvalidInput
from models.fields import FieldType
from models.filter_match import build_match, field_path
from models.filters import Filter
from models.ordering import Order
from models.scope import Scope
from workers.sources import SourceSchema, check_filter

_UNDER: Final = "fields"
_COUNTED: Final = ["string", "number", "bool"]  # kinds of values that facets count
_UNORDERED: Final = frozenset({FieldType.ARRAY, FieldType.TEXT, FieldType.BLOB})


@dataclass(frozen=True)
class DocumentSelection:
    """Which documents of a collection; every part that is given must fit."""

    collection_id: str
    object_id: str | None = None
    batch_id: str | None = None
    where: Filter | None = None


@dataclass(frozen=True)
class FacetValue:
    """A value of a field and how many documents have it."""

    value: Any
    count: int


async def select_documents(scope: Scope, selection: DocumentSelection) -> dict[str, Any]:
    """Return the query for a selection.

    Raises:
        NotFound: no such collection.
        InvalidInput: the filter makes no sense, or names a field that documents do not have.
    """
    collection = await scope.require(Collection, selection.collection_id, path=("collectionId",))
    match: dict[str, Any] = {"collection_id": collection.id}
    if selection.object_id is not None:
        match["object_id"] = selection.object_id
    if selection.batch_id is not None:
        match["batch_id"] = selection.batch_id
    if selection.where is None:
        return match
    checked = check_filter(selection.where, document_schema(collection), where=("filter", "where"))
    return {"$and": [match, build_match(checked, under=_UNDER)]}


def document_schema(collection: Collection) -> SourceSchema:
    """Return what is known of a collection's documents."""
    fields = {one.name: one.type for one in collection.output_fields}
    # What was passed through from a source without a schema is called an OBJECT.
    return SourceSchema(
        {name: None if kind is FieldType.OBJECT else kind for name, kind in fields.items()}
    )


async def document_order(
    scope: Scope, collection_id: str, field: str, *, descending: bool
) -> Order:
    """Return the order by a field; raises InvalidInput when it has none."""
    collection = await scope.require(Collection, collection_id, path=("collectionId",))
    where = ("orderBy", "field")
    kind = document_schema(collection).require_path(field, where)
    if kind in _UNORDERED:
        raise InvalidInput(f"Documents are not ordered by {field!r}: it is {kind}.", path=where)
    return Order(field_path(_UNDER, field), descending)


async def count_facet(
    scope: Scope, selection: DocumentSelection, field: str, *, limit: int
) -> list[FacetValue]:
    """Return the most frequent values of a field; in lists, each item counts.

    Raises:
        NotFound, InvalidInput: as `select_documents`; or documents have no such field.
    """
    match = await select_documents(scope, selection)
    collection = await scope.require(Collection, selection.collection_id, path=("collectionId",))
    document_schema(collection).require_path(field, ("field",))
    path = field_path(_UNDER, field)
    stages: list[Mapping[str, Any]] = [
        {"$project": {"_id": 1, "value": f"${path}"}},
        {"$unwind": "$value"},
        {"$match": {"value": {"$type": _COUNTED}}},
        {"$group": {"_id": {"value": "$value", "document": "$_id"}}},
        {"$group": {"_id": "$_id.value", "count": {"$sum": 1}}},
        {"$sort": {"count": -1, "_id": 1}},
        {"$limit": limit},
    ]
    rows = await scope.aggregate(Document, match, stages)
    return [FacetValue(row["_id"], row["count"]) for row in rows]


async def derived_from(scope: Scope, collection_id: str, document_id: str) -> dict[str, Any]:
    """Return the query for the documents made directly of one document."""
    readers = await scope.all(Collection, {"source.collection_ids": collection_id})
    return {"collection_id": {"$in": [one.id for one in readers]}, "source_id": document_id}
