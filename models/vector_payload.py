"""What a point says of its document besides its vectors, and how a search filters by it.

block_id batch_id object_id collection_id epoch    where it comes from
fields                                             the filterable fields of the document:
    text          its first 257 characters: none of 256 at most is equal to the start of a longer
    time          in UTC, where the collection knows the field to be one
    list          {"[]": its length}; in Qdrant each element would match as if it stood alone
    object        the same of its parts, to a depth of four

Both directions stand here because a filter is right only for the layout it was written for.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from models.collection import Collection
from models.errors import InvalidInput
from models.fields import FieldSpec, FieldType
from models.filters import Condition, Filter, FilterOperator

FIELDS: Final = "fields"
LONGEST_TEXT: Final = 256
DEEPEST: Final = 4
_EXACT: Final = 2**53  # integers beyond are not told apart as floating-point numbers
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")
_OWN: Final = frozenset({"object_id"})  # paths of the point itself, unless a field has the name
_INDEXES: Final[Mapping[FieldType, str]] = {
    FieldType.STRING: "keyword",
    FieldType.NUMBER: "float",
    FieldType.INTEGER: "integer",
    FieldType.BOOLEAN: "bool",
    FieldType.DATETIME: "datetime",
}
_BOUNDS: Final[Mapping[FilterOperator, str]] = {
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
}
Json = dict[str, Any]


def point_payload(collection: Collection, document: Mapping[str, Any]) -> Json:
    """Return the payload of a document's point; `document` as it is stored in MongoDB."""
    payload = {
        "collection_id": collection.id,
        "object_id": document["object_id"],
        "batch_id": document["batch_id"],
        "block_id": document["block_id"],
        "epoch": document["epoch"],
    }
    if collection.vectors:  # else no search comes here
        payload[FIELDS] = filterable_fields(document["fields"], collection.output_fields)
    return payload


def filterable_fields(fields: Mapping[str, Any], specs: Sequence[FieldSpec]) -> Json:
    """Return of a document's fields what searches filter by."""
    kept = {spec.name: spec.type for spec in specs if spec.filterable}
    return {
        name: _moment(value) if kept[name] is FieldType.DATETIME else _short(value, DEEPEST - 1)
        for name, value in fields.items()
        if name in kept
    }


def field_indexes(specs: Sequence[FieldSpec]) -> dict[str, str]:
    """Return the payload indexes that searches gain from: path and Qdrant's name of the type."""
    return {
        _path([FIELDS, spec.name]): _INDEXES[spec.type]
        for spec in specs
        if spec.filterable and spec.type in _INDEXES
    }


def point_filter(tree: Filter, specs: Sequence[FieldSpec], where: Sequence[str]) -> Json:
    """Return a checked filter in Qdrant's form; `where` is its place in the request.

    Raises:
        InvalidInput: it compares with what points do not hold.
    """
    return _Reader({spec.name: spec for spec in specs}).read(tree, tuple(where))


class _Reader:
    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        self._specs = specs

    def read(self, node: Filter, where: tuple[str, ...]) -> Json:
        if node.condition is not None:
            return self._condition(node.condition, (*where, "field"))
        if node.negated is not None:
            return {"must_not": [self.read(node.negated, (*where, "not"))]}
        name, clause, parts = "or", "should", node.any_of
        if node.all_of is not None:
            name, clause, parts = "and", "must", node.all_of
        read = [
            self.read(part, (*where, name, str(place))) for place, part in enumerate(parts or [])
        ]
        return {clause: read}

    def _condition(self, condition: Condition, where: tuple[str, ...]) -> Json:
        key = self._key(condition.path, (*where, "path"))
        where = (*where, "value")
        match condition.operator:
            case FilterOperator.EXISTS:
                empty = {"is_empty": {"key": key}}
                return {"must" if condition.value is False else "must_not": [empty]}
            case FilterOperator.EQ:
                return {"must": [_equals(key, condition, condition.value, where)]}
            case FilterOperator.NE:
                return {"must_not": [_equals(key, condition, condition.value, where)]}
            case FilterOperator.IN:
                return {"should": [_equals(key, condition, one, where) for one in condition.value]}
        return {"must": [_ordered(key, condition, where)]}

    def _key(self, path: str, where: tuple[str, ...]) -> str:
        if path in self._specs:
            steps = [path]
        elif path in _OWN:
            return path
        else:
            steps = path.split(".")
        spec = self._specs.get(steps[0])
        if spec is None or not spec.filterable or len(steps) > DEEPEST or '"' in path:
            names = sorted(name for name, one in self._specs.items() if one.filterable)
            raise InvalidInput(
                f"Searches cannot filter by {path!r}.",
                path=where,
                hint=f"Fields: {', '.join([*names, *sorted(_OWN)])}.",
            )
        return _path([FIELDS, *steps])


def _path(steps: Sequence[str]) -> str:
    return ".".join(step if _PLAIN.fullmatch(step) else f'"{step}"' for step in steps)


def _equals(key: str, condition: Condition, value: Any, where: tuple[str, ...]) -> Json:
    if condition.moments:
        value = _moment(value)
        return {"key": key, "range": {"gte": value, "lte": value}}
    if isinstance(value, bool):
        return {"key": key, "match": {"value": value}}
    if isinstance(value, int | float):
        _require_exact(value, where)
        return {"key": key, "range": {"gte": value, "lte": value}}
    if isinstance(value, str) and len(value) <= LONGEST_TEXT:
        return {"key": key, "match": {"value": value}}
    raise InvalidInput(
        f"Searches compare numbers, true and false, and texts of up to {LONGEST_TEXT} characters.",
        path=where,
    )


def _ordered(key: str, condition: Condition, where: tuple[str, ...]) -> Json:
    value, bound = condition.value, _BOUNDS[condition.operator]
    if condition.moments:
        return {"key": key, "range": {bound: _moment(value)}}
    if isinstance(value, str):
        raise InvalidInput(
            f"Searches have no order of texts, so no `{condition.operator}`.",
            path=where,
            hint="Compare texts with `EQ`, `NE`, `IN` or `EXISTS`.",
        )
    _require_exact(value, where)
    return {"key": key, "range": {bound: value}}


def _require_exact(value: float, where: tuple[str, ...]) -> None:
    if isinstance(value, int) and abs(value) > _EXACT:
        raise InvalidInput("Searches compare integers up to 2^53.", path=where)


def _short(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return value[: LONGEST_TEXT + 1]
    if isinstance(value, list):
        return {"[]": len(value)}
    if isinstance(value, dict):
        return {key: _short(part, levels - 1) for key, part in value.items()} if levels else {}
    return value


def _moment(value: Any) -> Any:
    """Return a time in UTC, in one form; whatever is none as it is."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return _short(value, DEEPEST - 1)
    moment = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    return moment.isoformat()
