"""What an operation may cost, in points: one for each object that it may return, errors apart.

Leaves are free, a mutation and a few fields weigh more. What stands below a list counts once for
each of its items: `first` or `last`, the number of ids or of rows sent, or a guess for the short
lists inside an object. Sums saturate, so that no document makes them long.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from graphql import (
    FieldNode,
    GraphQLField,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
)

CEILING: Final = 10**9
MAX_PAGE: Final = 100
_PAGE: Final = 20  # of a connection that is not told
_SHORT_LIST: Final = 10  # what an object's own lists count as
_SIZES: Final[Mapping[str, int]] = {
    "edges": 1,  # the connection around them was counted
    "results": 1,  # the rows sent were counted
    "userErrors": 1,
    "errors": 1,
    "blobs": 2,
    "tiers": 3,
    "collections": 3,  # of a tier
}
_WEIGHTS: Final[Mapping[str, int]] = {
    "totalCount": 5,
    "searchDocuments": 20,
    "planBatch": 50,
    "userErrors": 0,  # mostly none, and they count for each of a thousand rows
    "errors": 0,
}
_MUTATION: Final = 10


@dataclass(frozen=True)
class Size:
    """How many items there are: a number, or what variables say.

    An argument of a list asks for a page, by a number; an input sends rows, by lists. A number in
    an input, such as a priority, is no size.
    """

    number: int
    variables: tuple[str, ...] = ()
    most: int = CEILING  # what is larger is refused by whoever reads the argument
    of_rows: bool = False

    def resolve(self, variables: Mapping[str, Any]) -> int:
        """Return the number that a request means."""
        given = [variables[name] for name in self.variables if variables.get(name) is not None]
        if self.of_rows:
            return min(self.most, max([self.number, *map(_count_rows, given)]))
        return min(self.most, _count(given[0]) if given else self.number)


@dataclass
class Cost:
    """Points of a set of selections: a sum, and terms that wait for variables."""

    points: int = 0
    terms: list[tuple[Size, "Cost"]] = field(default_factory=list)

    def add(self, size: Size, below: "Cost") -> None:
        """Count what stands below a field, as often as it has items."""
        if not size.variables and not below.terms:
            self.points = min(CEILING, self.points + size.resolve({}) * below.points)
        else:
            self.terms.append((size, below))

    def resolve(self, variables: Mapping[str, Any]) -> int:
        """Return the points of a request."""
        return self.points if not self.terms else _sum(self, variables, {})


def weigh(name: str, definition: GraphQLField, *, is_mutation: bool) -> int:
    """Return what a field costs by itself."""
    own = _WEIGHTS.get(name, 1 if is_composite_type(get_named_type(definition.type)) else 0)
    return own + _MUTATION if is_mutation else own


def measure(node: FieldNode, definition: GraphQLField, *, is_mutation: bool) -> Size:
    """Return how many items a field has, or makes."""
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    for name in ("first", "last", "ids"):
        if name in given and (size := _size(given[name])) is not None:
            return replace(size, most=MAX_PAGE)
    if is_mutation:
        return _rows(given.get("input"))
    if "first" in definition.args:
        return Size(_PAGE)
    return Size(_SIZES.get(node.name.value, _SHORT_LIST if _is_list(definition) else 1))


def _size(value: ValueNode) -> Size | None:
    match value:
        case IntValueNode():
            return Size(max(0, min(int(value.value[:12]), CEILING)))
        case ListValueNode():
            return Size(len(value.values))
        case VariableNode():
            return Size(_PAGE, (value.name.value,))
    return None


def _rows(value: ValueNode | None) -> Size:
    match value:
        case VariableNode():
            return Size(1, (value.name.value,), of_rows=True)
        case ObjectValueNode():
            sent = [one.value for one in value.fields]
            names = tuple(one.name.value for one in sent if isinstance(one, VariableNode))
            lists = [len(one.values) for one in sent if isinstance(one, ListValueNode)]
            return Size(max(lists, default=1), names, of_rows=True)
    return Size(1)


def _count(value: Any) -> int:
    """Return how many things a variable's value asks for, as the size of a page or as a list."""
    if isinstance(value, int) and not isinstance(value, bool):
        return max(0, min(value, CEILING))
    return _count_rows(value)


def _count_rows(value: Any) -> int:
    """Return how many rows a variable's value sends: those of a list, or of an input's longest."""
    if isinstance(value, list):
        return len(value)
    if isinstance(value, dict):
        return max((len(child) for child in value.values() if isinstance(child, list)), default=1)
    return 1


def _is_list(definition: GraphQLField) -> bool:
    kind = definition.type
    return is_list_type(kind.of_type if is_non_null_type(kind) else kind)


def _sum(cost: Cost, variables: Mapping[str, Any], known: dict[int, int]) -> int:
    """Add up, each shared fragment once."""
    found = known.get(id(cost))
    if found is None:
        found = cost.points
        for size, below in cost.terms:
            times = size.resolve(variables)
            found = min(CEILING, found + times * _sum(below, variables, known))
        known[id(cost)] = found
    return found
