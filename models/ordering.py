"""Pages in the order of a field: keysets over (value, id), for values of any kind.

Kinds follow one another as MongoDB sorts them: numbers, texts, booleans. What has none of these
(nothing, a list, an object) comes last in either direction, by id. Each kind is a query of its own,
since a comparison in MongoDB sees one kind only; a page seldom needs more than one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from models.scope import Page, Scope
from models.stored import Namespaced

M = TypeVar("M", bound=Namespaced)
_KINDS: Final = ("number", "string", "bool")
_REST: Final = "rest"


@dataclass(frozen=True)
class Order:
    """By which field, and in which direction."""

    path: str
    descending: bool = False

    @property
    def kinds(self) -> list[str]:
        """The kinds of values in their order."""
        return [*(reversed(_KINDS) if self.descending else _KINDS), _REST]


@dataclass(frozen=True)
class Position:
    """Where an item stands: its value, None when it has none that sorts, and its id."""

    value: Any
    id: str

    @property
    def kind(self) -> str:
        """The kind of the value."""
        if isinstance(self.value, bool):
            return "bool"
        if isinstance(self.value, int | float):
            return "number"
        return "string" if isinstance(self.value, str) else _REST


async def read_ordered_page(
    scope: Scope,
    model: type[M],
    match: Mapping[str, Any],
    order: Order,
    *,
    limit: int,
    after: Position | None = None,
    before: Position | None = None,
    last: bool = False,
) -> Page[M]:
    """Return up to `limit` items between two positions, from the front or (`last`) the back."""
    found: list[M] = []
    for kind in reversed(order.kinds) if last else order.kinds:
        bounds = [
            bound
            for position, ahead in ((after, True), (before, False))
            if position is not None
            for bound in _bounds(order, kind, position, ahead=ahead)
        ]
        if None not in bounds and len(found) <= limit:
            found += await scope.find_sorted(
                model,
                {"$and": [match, _of_kind(order.path, kind), *bounds]},
                sort=_sort(order, kind, backwards=last),
                limit=limit + 1 - len(found),
            )
    more, items = len(found) > limit, found[:limit]
    if last:
        return Page(items[::-1], has_previous=more, has_next=before is not None)
    return Page(items, has_previous=after is not None, has_next=more)


def _of_kind(path: str, kind: str) -> dict[str, Any]:
    if kind != _REST:
        # `$type` looks into lists, too.
        return {"$and": [{path: {"$type": kind}}, {path: {"$not": {"$type": "array"}}}]}
    sorts: list[dict[str, Any]] = [_of_kind(path, one) for one in _KINDS]
    return {"$nor": sorts}


def _sort(order: Order, kind: str, *, backwards: bool) -> list[tuple[str, int]]:
    direction = -1 if order.descending != backwards else 1
    return [("_id", direction)] if kind == _REST else [(order.path, direction), ("_id", direction)]


def _bounds(
    order: Order, kind: str, position: Position, *, ahead: bool
) -> list[dict[str, Any] | None]:
    """Return what a position demands of one kind: nothing, a comparison, or (None) no item."""
    here, there = order.kinds.index(kind), order.kinds.index(position.kind)
    if here != there:
        return [] if (here > there) == ahead else [None]
    beyond = "$gt" if ahead != order.descending else "$lt"
    if kind == _REST:
        return [{"_id": {beyond: position.id}}]
    same = {order.path: {"$eq": position.value}, "_id": {beyond: position.id}}
    return [{"$or": [{order.path: {beyond: position.value}}, same]}]
