"""Applies source filters to rows. A filter never raises: what cannot be compared does not fit."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import ge, gt, le, lt
from typing import Any, Final

from engine.paths import ABSENT, look_up, plain
from models.filters import Condition, Filter, FilterOperator

Test = Callable[[Mapping[str, Any]], bool]
_ORDERS: Final[Mapping[FilterOperator, Callable[[Any, Any], bool]]] = {
    FilterOperator.LT: lt,
    FilterOperator.LTE: le,
    FilterOperator.GT: gt,
    FilterOperator.GTE: ge,
}


def compile_filter(tree: Filter | None) -> Test:
    """Return the function that tells whether a row's fields fit."""
    if tree is None:
        return lambda _: True
    if tree.condition is not None:
        return _condition(tree.condition)
    if tree.negated is not None:
        inner = compile_filter(tree.negated)
        return lambda fields: not inner(fields)
    parts = [compile_filter(part) for part in tree.all_of or tree.any_of or []]
    decide = all if tree.all_of is not None else any
    return lambda fields: decide(part(fields) for part in parts)


def _condition(condition: Condition) -> Test:
    fits = _comparison(condition)
    path, missing = condition.path, _fits_when_missing(condition)

    def test(fields: Mapping[str, Any]) -> bool:
        value = plain(look_up(fields, path))
        return missing if value is ABSENT or value is None else fits(value)

    return test


def _fits_when_missing(condition: Condition) -> bool:
    """A field that is not there differs from every value, and is not smaller than any."""
    if condition.operator is FilterOperator.EXISTS:
        return condition.value is False
    return condition.operator is FilterOperator.NE


def _comparison(condition: Condition) -> Callable[[Any], bool]:
    """Return the test of a value that is there."""
    operator, read = condition.operator, _moment if condition.moments else _itself
    if operator is FilterOperator.EXISTS:
        return lambda _: condition.value is not False
    if operator is FilterOperator.IN:
        wanted = [read(one) for one in condition.value]
        return lambda value: any(_same(read(value), one) for one in wanted)
    other = read(condition.value)
    if operator is FilterOperator.EQ:
        return lambda value: _same(read(value), other)
    if operator is FilterOperator.NE:
        return lambda value: not _same(read(value), other)
    before = _ORDERS[operator]
    return lambda value: _ordered(read(value), other) and before(read(value), other)


def _same(one: Any, other: Any) -> bool:
    """Compare as JSON does: true is not 1, though Python says so."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _ordered(one: Any, other: Any) -> bool:
    """Tell whether one of the two can come first: both numbers, both texts or both times."""
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    kinds: tuple[type | tuple[type, ...], ...] = ((int, float), str, datetime)
    return any(isinstance(one, kind) and isinstance(other, kind) for kind in kinds)


def _itself(value: Any) -> Any:
    return value


def _moment(value: Any) -> Any:
    """Return a time for its text, in UTC where it names no offset; anything else as it is."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value
    return found if found.tzinfo else found.replace(tzinfo=UTC)
