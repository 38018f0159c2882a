"""Compiles query filters into predicates over documents."""

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tests.simulation.errors import Unsupported
from tests.simulation.mongo.expressions import evaluate, truth
from tests.simulation.mongo.values import (
    MISSING,
    candidates,
    order_of,
    type_rank,
)

Predicate = Callable[[Mapping[str, Any]], bool]


def compile_filter(match: Mapping[str, Any], now: datetime) -> Predicate:
    """Return a predicate that says what MongoDB would say of a document."""
    parts = [_compile_part(name, value, now) for name, value in match.items()]
    if len(parts) == 1:
        return parts[0]
    return _all(parts)


def _all(parts: Sequence[Predicate]) -> Predicate:
    def test(document: Mapping[str, Any]) -> bool:
        for part in parts:  # noqa: SIM110  # a generator for each document takes twice as long
            if not part(document):
                return False
        return True

    return test


def _any(parts: Sequence[Predicate]) -> Predicate:
    def test(document: Mapping[str, Any]) -> bool:
        for part in parts:  # noqa: SIM110
            if part(document):
                return True
        return False

    return test


def _compile_part(name: str, value: Any, now: datetime) -> Predicate:
    if name == "$expr":
        return lambda document: truth(evaluate(value, document, now))
    if name in ("$and", "$or", "$nor"):
        parts = [compile_filter(one, now) for one in value]
        if name == "$and":
            return _all(parts)
        if name == "$or":
            return _any(parts)
        return lambda document: not any(part(document) for part in parts)
    if name.startswith("$"):
        raise Unsupported(f"the filter {name}")
    return _compile_field(name, value)


def _compile_field(path: str, condition: Any) -> Predicate:
    if not isinstance(condition, dict) or not any([key.startswith("$") for key in condition]):
        return _equality(path, condition)
    tests = [_compile_operator(path, name, value) for name, value in condition.items()]
    if len(tests) == 1:
        return tests[0]
    return _all(tests)


def _equality(path: str, wanted: Any) -> Predicate:
    if isinstance(wanted, str) and "." not in path:  # by far the most

        def quick(document: Mapping[str, Any]) -> bool:
            value = document.get(path, MISSING)
            return value == wanted or (isinstance(value, list) and wanted in value)

        return quick
    order = order_of(wanted)

    def slow(document: Mapping[str, Any]) -> bool:
        found = candidates(document, path)
        if not found:
            return wanted is None
        return any([order_of(value) == order for value in found])

    return slow


def _in(path: str, wanted: list[Any]) -> Predicate:
    orders = {order_of(value) for value in wanted}
    null = (1,) in orders

    def test(document: Mapping[str, Any]) -> bool:
        found = candidates(document, path)
        return any([order_of(value) in orders for value in found]) if found else null

    return test


def _comparison(path: str, wanted: Any, do: Callable[[Any, Any], bool]) -> Predicate:
    rank, order = type_rank(wanted), order_of(wanted)

    def test(document: Mapping[str, Any]) -> bool:
        return any(
            [
                type_rank(value) == rank and do(order_of(value), order)
                for value in candidates(document, path)
            ]
        )

    return test


def _compile_operator(path: str, name: str, value: Any) -> Predicate:
    if name in _COMPARISONS:
        return _comparison(path, value, _COMPARISONS[name])
    if name == "$eq":
        return _equality(path, value)
    if name in ("$ne", "$nin"):
        inner = _equality(path, value) if name == "$ne" else _in(path, value)
        return lambda document: not inner(document)
    if name == "$in":
        return _in(path, value)
    if name == "$exists":
        return lambda document: bool(candidates(document, path)) == bool(value)
    if name == "$type" and value == "string":
        return lambda document: any(isinstance(one, str) for one in candidates(document, path))
    raise Unsupported(f"the filter {name}: {value!r}")


_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$lt": operator.lt,
    "$lte": operator.le,
    "$gt": operator.gt,
    "$gte": operator.ge,
}
