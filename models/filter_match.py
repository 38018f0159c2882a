"""Compiles a filter into MongoDB's language; `engine.filters` decides the same for one row.

Two things differ, as users of a document database expect: a list fits when one of its items does,
and a key that holds dots cannot be reached.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from models.errors import InvalidInput
from models.filters import Condition, Filter, FilterOperator

_OPERATORS: Final[Mapping[FilterOperator, str]] = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.IN: "$in",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
}


def build_match(node: Filter, *, under: str) -> dict[str, Any]:
    """Return the query that documents fit whose fields, kept `under` a key, fit the filter."""
    if node.condition is not None:
        return _condition(node.condition, field_path(under, node.condition.path))
    if node.negated is not None:
        return {"$nor": [build_match(node.negated, under=under)]}
    name = "$and" if node.all_of is not None else "$or"
    parts = node.all_of if node.all_of is not None else node.any_of
    return {name: [build_match(part, under=under) for part in parts or []]}


def field_path(under: str, path: str) -> str:
    """Return a dotted path in MongoDB; raises InvalidInput for one that it would take amiss."""
    if any(not part or part.startswith("$") or "\x00" in part for part in path.split(".")):
        raise InvalidInput(f"{path!r} is no path of a field.", path=("path",))
    return f"{under}.{path}"


def _condition(condition: Condition, path: str) -> dict[str, Any]:
    operator, value = condition.operator, condition.value
    if operator is FilterOperator.EXISTS:
        return {path: {"$eq" if value is False else "$ne": None}}
    if condition.moments:
        return _moments(operator, path, value)
    return {path: {_OPERATORS[operator]: value}}


def _moments(operator: FilterOperator, path: str, value: Any) -> dict[str, Any]:
    """Compare as times, whatever their offsets; a text that is no time fits `NE` alone."""
    stored = {
        "$cond": [
            {"$eq": [{"$type": f"${path}"}, "string"]},
            {"$dateFromString": {"dateString": f"${path}", "onError": None, "onNull": None}},
            None,
        ]
    }
    if operator is FilterOperator.IN:
        return {"$expr": {"$in": [stored, [_moment(one) for one in value]]}}
    compares = {_OPERATORS[operator]: [stored, _moment(value)]}
    if operator is FilterOperator.NE:
        return {"$expr": compares}
    return {"$expr": {"$and": [{"$ne": [stored, None]}, compares]}}


def _moment(value: Any) -> datetime:
    found = datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
