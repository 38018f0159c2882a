"""How MongoDB looks at values: their order across types, and paths into documents."""

import datetime
from typing import Any, Final

from tests.simulation.errors import Unsupported


class _Missing:
    """No value at all, which is not null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


def order_of(value: Any) -> tuple[Any, ...]:
    """Return what sorts as MongoDB sorts values of any type."""
    kind = _RANK_OF.get(type(value)) or type_rank(value)
    if kind in _PLAIN:
        return (kind, value)
    if kind in (0, 1):
        return (kind,)
    if isinstance(value, dict):
        return (kind, tuple((type_rank(v), k, order_of(v)) for k, v in value.items()))
    if isinstance(value, list):
        return (kind, tuple(order_of(one) for one in value))
    return (kind, len(value), value)


def type_rank(value: Any) -> int:
    """Return the place of a value's type in the order of types."""
    rank = _RANK_OF.get(type(value))
    if rank is not None:
        return rank
    for rank, kinds in _RANKS:
        if isinstance(value, kinds):
            _RANK_OF[type(value)] = rank
            return rank
    raise Unsupported(f"a value of type {type(value).__name__}")


_RANKS: Final[tuple[tuple[int, Any], ...]] = (
    (2, (int, float)), (3, str), (4, dict), (5, list), (6, bytes), (9, datetime.datetime),
)  # fmt: skip
_RANK_OF: Final[dict[type, int]] = {_Missing: 0, type(None): 1, bool: 8}  # and those met since
_PLAIN: Final = (2, 3, 8, 9)  # what has an order in Python that is the right one


def equal(one: Any, other: Any) -> bool:
    """Tell whether MongoDB holds two values to be equal."""
    return order_of(one) == order_of(other)


def field_of(document: Any, path: str) -> Any:
    """Return a field as an expression sees it: through an array, the array of the fields."""
    if "." not in path and isinstance(document, dict):
        return document.get(path, MISSING)
    value = document
    parts = path.split(".")
    for place, part in enumerate(parts):
        if isinstance(value, dict):
            value = value.get(part, MISSING)
        elif isinstance(value, list):
            rest = ".".join(parts[place:])
            found = (field_of(one, rest) for one in value if isinstance(one, dict))
            return [one for one in found if one is not MISSING]
        else:
            return MISSING
    return value


def candidates(document: Any, path: str) -> list[Any]:
    """Return the values that a query compares a path with: arrays, and also their elements."""
    if "." not in path and isinstance(document, dict):
        value = document.get(path, MISSING)
        if value is MISSING:
            return []
        return [value, *value] if isinstance(value, list) else [value]
    found: list[Any] = []
    _collect(document, path.split("."), found)
    return found


def _collect(value: Any, parts: list[str], found: list[Any]) -> None:
    if not parts:
        found.append(value)
        if isinstance(value, list):
            found.extend(value)
        return
    if isinstance(value, dict):
        if parts[0] in value:
            _collect(value[parts[0]], parts[1:], found)
    elif isinstance(value, list):
        if parts[0].isdigit():
            raise Unsupported(f"an index in a path: {parts}")
        for one in value:
            if isinstance(one, dict):
                _collect(one, parts, found)


def set_field(document: dict[str, Any], path: str, value: Any) -> None:
    """Set a field; documents on the way are made."""
    *parents, last = path.split(".")
    for part in parents:
        document = document.setdefault(part, {})
        if not isinstance(document, dict):
            raise Unsupported(f"a path through something other than documents: {path}")
    document[last] = value
