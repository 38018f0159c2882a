"""Reading within one namespace: every filter carries its id, in this one place.

Absent and foreign read the same: NotFound. Pages are keysets over the id, which sorts by time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from models.errors import NotFound
from models.stored import Stored

M = TypeVar("M", bound=Stored)


@dataclass(frozen=True)
class Page(Generic[M]):
    """A slice of a list, in order, and whether the list goes on past either end."""

    items: list[M]
    has_previous: bool
    has_next: bool


@dataclass(frozen=True)
class Scope:
    """One namespace, seen from inside."""

    namespace_id: str

    def _filter(self, match: Mapping[str, Any] | None) -> dict[str, Any]:
        return {**(match or {}), "namespace_id": self.namespace_id}

    async def find(self, model: type[M], item_id: str) -> M | None:
        """Return one item by id, or None."""
        if not _storable(item_id):
            return None
        row = await model.get_pymongo_collection().find_one(self._filter({"_id": item_id}))
        return None if row is None else model.model_validate(row)

    async def require(self, model: type[M], item_id: str, *, path: Sequence[str] = ()) -> M:
        """Return one item by id; raises NotFound."""
        found = await self.find(model, item_id)
        if found is None:
            raise NotFound(f"No {model.__name__.lower()} {item_id!r} here.", path=path)
        return found

    async def find_many(self, model: type[M], ids: Sequence[str]) -> dict[str, M]:
        """Return the items that exist among `ids`, by id."""
        wanted = [item_id for item_id in ids if _storable(item_id)]
        cursor = model.get_pymongo_collection().find(self._filter({"_id": {"$in": wanted}}))
        return {row["_id"]: model.model_validate(row) async for row in cursor}

    async def find_rows(self, model: type[M], ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the items that exist among `ids` as they are stored: for very many of them."""
        cursor = model.get_pymongo_collection().find(
            self._filter({"_id": {"$in": list(ids)}}), batch_size=len(ids) + 1
        )
        return {row["_id"]: row async for row in cursor}

    async def all(self, model: type[M], match: Mapping[str, Any] | None = None) -> list[M]:
        """Return every item that matches; for kinds of which a namespace has few."""
        cursor = model.get_pymongo_collection().find(self._filter(match)).sort("_id", 1)
        return [model.model_validate(row) async for row in cursor]

    async def count(self, model: type[M], match: Mapping[str, Any] | None = None) -> int:
        """Return how many items match."""
        return await model.get_pymongo_collection().count_documents(self._filter(match))

    async def find_sorted(
        self,
        model: type[M],
        match: Mapping[str, Any],
        *,
        sort: list[tuple[str, int]],
        limit: int,
    ) -> list[M]:
        """Return the first items that match, in an order."""
        rows = model.get_pymongo_collection()
        cursor = rows.find(self._filter(match), sort=sort, limit=limit)
        return [model.model_validate(row) async for row in cursor]

    async def aggregate(
        self, model: type[M], match: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return what stages make of the items that match; they must not look elsewhere."""
        cursor = await model.get_pymongo_collection().aggregate(
            [{"$match": self._filter(match)}, *stages], allowDiskUse=True
        )
        return [row async for row in cursor]

    async def page(
        self,
        model: type[M],
        match: Mapping[str, Any] | None = None,
        *,
        limit: int,
        after: str | None = None,
        before: str | None = None,
        last: bool = False,
        newest_first: bool = False,
    ) -> Page[M]:
        """Return up to `limit` items between two ids, from the front or (`last`) from the back."""
        ahead, behind = ("$lt", "$gt") if newest_first else ("$gt", "$lt")
        bounds = {
            operator: bound for operator, bound in ((ahead, after), (behind, before)) if bound
        }
        where = {"$and": [match or {}, {"_id": bounds}]} if bounds else match
        direction = -1 if newest_first != last else 1
        cursor = model.get_pymongo_collection().find(
            self._filter(where), sort=[("_id", direction)], limit=limit + 1
        )
        found = [model.model_validate(row) async for row in cursor]
        more, items = len(found) > limit, found[:limit]
        if last:
            return Page(items[::-1], has_previous=more, has_next=before is not None)
        return Page(items, has_previous=after is not None, has_next=more)


class Deployment(Scope):
    """All namespaces at once; what the operator sees of them."""

    def __init__(self) -> None:
        super().__init__("")

    def _filter(self, match: Mapping[str, Any] | None) -> dict[str, Any]:
        return dict(match or {})


def _storable(item_id: str) -> bool:
    """Tell whether MongoDB could hold an id: a lone surrogate cannot be written as UTF-8."""
    try:
        item_id.encode()
    except UnicodeEncodeError:
        return False
    return True
