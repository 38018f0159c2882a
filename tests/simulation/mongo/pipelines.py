"""Runs aggregation pipelines, and the projections and orders of queries."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tests.simulation.errors import Unsupported
from tests.simulation.mongo.expressions import evaluate
from tests.simulation.mongo.matching import compile_filter
from tests.simulation.mongo.values import MISSING, field_of, order_of

Row = Mapping[str, Any]


def aggregate(rows: Iterable[Row], stages: Sequence[Row], now: datetime) -> list[dict[str, Any]]:
    """Return what stages make of rows."""
    found: list[Any] = list(rows)
    for stage in stages:
        ((name, value),) = stage.items()
        if name == "$match":
            test = compile_filter(value, now)
            found = [row for row in found if test(row)]
        elif name == "$group":
            found = _group(found, value, now)
        elif name == "$project":
            found = [project(row, value) for row in found]
        elif name == "$setWindowFields":
            found = _number(found, value, now)
        elif name == "$sort":
            found = sort_rows(found, list(value.items()))
        elif name == "$limit":
            found = found[:value]
        else:
            raise Unsupported(f"the stage {name}")
    return found


def _group(rows: Iterable[Row], stage: Row, now: datetime) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], tuple[Any, list[Row]]] = {}
    for row in rows:
        key = evaluate(stage["_id"], row, now)
        groups.setdefault(order_of(key), (key, []))[1].append(row)
    return [
        {
            "_id": key,
            **{
                name: _accumulate(how, members, now) for name, how in stage.items() if name != "_id"
            },
        }
        for key, members in groups.values()
    ]


def _number(rows: Iterable[Row], stage: Row, now: datetime) -> list[dict[str, Any]]:
    """Give each row its number, from 1, in the order of its part."""
    ((field, how),) = stage["output"].items()
    if how != {"$documentNumber": {}}:
        raise Unsupported(f"the window {how}")
    numbers: Counter[tuple[Any, ...]] = Counter()
    numbered = []
    for row in sort_rows(rows, list(stage["sortBy"].items())):
        part = order_of(evaluate(stage["partitionBy"], row, now))
        numbers[part] += 1
        numbered.append({**row, field: numbers[part]})
    return numbered


def _accumulate(how: Row, rows: list[Row], now: datetime) -> Any:
    ((name, expression),) = how.items()
    if name not in _ACCUMULATORS:
        raise Unsupported(f"the accumulator {name}")
    values = [evaluate(expression, row, now) for row in rows]
    return _ACCUMULATORS[name]([one for one in values if one is not None and one is not MISSING])


def _extreme(choose: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    return lambda values: choose(values, key=order_of) if values else None


_ACCUMULATORS: Final[Mapping[str, Callable[[list[Any]], Any]]] = {
    "$sum": lambda values: sum(one for one in values if not isinstance(one, str)),
    "$min": _extreme(min),
    "$max": _extreme(max),
}


def project(row: Row, fields: Row | None) -> dict[str, Any]:
    """Return the chosen fields of a row; all when none are chosen."""
    if not fields:
        return dict(row)
    if any(one != 1 for name, one in fields.items() if name != "_id"):
        raise Unsupported(f"the projection {fields}")
    tree: dict[str, Any] = {} if fields.get("_id") == 0 else {"_id": {}}
    for path in fields:
        branch = tree
        for part in path.split(".") if path != "_id" else ():
            branch = branch.setdefault(part, {})
    return _included(row, tree)


def _included(row: Row, tree: Row) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name not in tree:
            continue
        if not tree[name]:
            found[name] = value
        elif isinstance(value, dict):
            found[name] = _included(value, tree[name])
        elif isinstance(value, list):
            found[name] = [_included(one, tree[name]) for one in value if isinstance(one, dict)]
    return found


def sort_rows(rows: Iterable[Row], order: Sequence[tuple[str, int]]) -> list[Any]:
    """Return rows in an order; equal ones stay as they were."""
    found = list(rows)
    for path, direction in reversed(order):
        found.sort(key=lambda row: order_of(_sortable(row, path)), reverse=direction < 0)
    return found


def _sortable(row: Row, path: str) -> Any:
    value = field_of(row, path)
    if isinstance(value, list):
        raise Unsupported(f"an order by an array: {path}")
    return None if value is MISSING else value
