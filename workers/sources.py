"""What a collection reads: the fields and vectors of its source, and whether a filter makes sense.

Whatever is not known of a source is believed; whatever is known is held against the draft.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from models.bucket import Bucket
from models.collection import Collection, Source
from models.errors import InvalidInput, InvalidMapping
from models.fields import FieldType, VectorField, accepts
from models.filters import Condition, Filter, FilterOperator
from models.scope import Scope
from workers.lifecycle import require_active
from workers.names import require_json, require_text

_ALWAYS: Final = ("object_id", "key")
_MAX_DEPTH: Final = 6
_MAX_NODES: Final = 100
_MAX_VALUES: Final = 1000  # of one IN
_ORDERED: Final = frozenset(
    {FieldType.STRING, FieldType.NUMBER, FieldType.INTEGER, FieldType.DATETIME, FieldType.TEXT}
)
_ORDERS: Final = frozenset(
    {FilterOperator.LT, FilterOperator.LTE, FilterOperator.GT, FilterOperator.GTE}
)
Where = tuple[str, ...]


@dataclass(frozen=True)
class SourceSchema:
    """What rows of a source have; `fields` is None when nothing is known of them.

    A field whose type is None is there, but nobody knows its type.
    """

    fields: Mapping[str, FieldType | None] | None
    vectors: Mapping[str, VectorField] = field(default_factory=dict)

    def require_path(self, path: str, where: Where) -> FieldType | None:
        """Return the type of a field, None when nothing is known of it; raises InvalidMapping."""
        require_text(path, path=where)
        if self.fields is None:
            return None
        if path in self.fields:
            return self.fields[path]
        head = path.partition(".")[0]
        if head in self.fields and self.fields[head] in (None, FieldType.OBJECT):
            return None
        raise InvalidMapping(
            f"The source has no field {path!r}.", path=where, hint=self.offer(vectors=False)
        )

    def offer(self, vectors: bool) -> str:
        """Say what there is to choose from."""
        names = self.vectors if vectors else self.fields or {}
        return f"{'Vectors' if vectors else 'Fields'}: {', '.join(sorted(names)) or 'none'}."


async def read_source(scope: Scope, source: Source) -> SourceSchema:
    """Return what is known of a source.

    Raises:
        NotFound: it does not exist.
        InvalidInput: it is no source; upstream collections that differ are told by field.
    """
    if (source.bucket_id is None) == (not source.collection_ids):
        raise InvalidInput("A source is either `bucketId` or `collectionIds`.", path=("source",))
    if source.bucket_id is not None:
        bucket = await scope.require(Bucket, source.bucket_id, path=("source", "bucketId"))
        require_active(bucket, path=("source", "bucketId"))
        known = {one.name: one.type for one in bucket.fields}
        return SourceSchema(
            {**dict.fromkeys(_ALWAYS, FieldType.STRING), **known} if known else None
        )
    if len(set(source.collection_ids)) < len(source.collection_ids):
        raise InvalidInput("A collection is named twice.", path=("source", "collectionIds"))
    upstream = [
        await scope.require(Collection, found, path=("source", "collectionIds", str(index)))
        for index, found in enumerate(source.collection_ids)
    ]
    for index, one in enumerate(upstream):
        require_active(one, path=("source", "collectionIds", str(index)))
    return _upstream_schema(upstream)


def _upstream_schema(upstream: Sequence[Collection]) -> SourceSchema:
    first, *others = ({one.name: one.type for one in c.output_fields} for c in upstream)
    for index, other in enumerate(others, start=1):
        _require_same(upstream[0], first, upstream[index], other, index)
    # What was passed through from a source without a schema is called an OBJECT.
    fields = {name: None if kind is FieldType.OBJECT else kind for name, kind in first.items()}
    vectors = {
        vector.name: vector
        for vector in upstream[0].vectors
        if all(vector in other.vectors for other in upstream[1:])
    }
    return SourceSchema({"document_id": FieldType.STRING, **fields}, vectors)


def _require_same(
    one: Collection,
    fields: Mapping[str, FieldType],
    other: Collection,
    its: Mapping[str, FieldType],
    index: int,
) -> None:
    differing = sorted(
        name for name in fields.keys() | its.keys() if fields.get(name) != its.get(name)
    )
    if not differing:
        return
    said = "; ".join(
        f"{name!r} is {fields.get(name) or 'absent'} in {one.name!r}"
        f" and {its.get(name) or 'absent'} in {other.name!r}"
        for name in differing[:3]
    )
    raise InvalidInput(
        f"Upstream collections must have the same output fields: {said}.",
        path=("source", "collectionIds", str(index)),
        hint="Pass the same fields through in each of them, under the same names.",
    )


def require_filter(source: Source, schema: SourceSchema) -> Source:
    """Return the source with its filter ready to be applied.

    Raises:
        InvalidInput: names the node that makes no sense, and why.
    """
    if source.filter is None:
        return source
    checked = check_filter(source.filter, schema, where=("source", "filter"))
    return source.model_copy(update={"filter": checked})


def check_filter(node: Filter, schema: SourceSchema, *, where: Where) -> Filter:
    """Return a filter with its conditions completed; raises InvalidInput if it makes no sense."""
    return _Checker(schema).check(node, where, depth=1)


class _Checker:
    """Walks one filter."""

    def __init__(self, schema: SourceSchema) -> None:
        self._schema = schema
        self._nodes = 0

    def check(self, node: Filter, where: Where, *, depth: int) -> Filter:
        """Return the node with its conditions completed."""
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            raise InvalidInput(
                f"A filter has at most {_MAX_NODES} parts, {_MAX_DEPTH} deep.", path=where
            )
        if len(node.given) != 1:
            raise InvalidInput("Give exactly one of `and`, `or`, `not` and `field`.", path=where)
        if node.condition is not None:
            return Filter(condition=self._condition(node.condition, (*where, "field")))
        if node.negated is not None:
            return Filter(negated=self.check(node.negated, (*where, "not"), depth=depth + 1))
        name, parts = ("or", node.any_of) if node.all_of is None else ("and", node.all_of)
        if not parts:
            raise InvalidInput(f"`{name}` is empty.", path=(*where, name))
        checked = [
            self.check(part, (*where, name, str(index)), depth=depth + 1)
            for index, part in enumerate(parts)
        ]
        return Filter(all_of=checked) if name == "and" else Filter(any_of=checked)

    def _condition(self, condition: Condition, where: Where) -> Condition:
        kind = self._schema.require_path(condition.path, (*where, "path"))
        path = (*where, "value")
        require_json(condition.value, path=path)
        if condition.operator is FilterOperator.EXISTS:
            return self._existence(condition, path)
        values = _values(condition, path)
        for value in values:
            _require_comparable(condition, value, kind, path)
        return condition.model_copy(update={"moments": kind is FieldType.DATETIME})

    def _existence(self, condition: Condition, where: Where) -> Condition:
        if condition.value not in (None, True, False):
            raise InvalidInput("`EXISTS` takes true, false or nothing.", path=where)
        return condition.model_copy(update={"value": condition.value is not False})


def _values(condition: Condition, where: Where) -> list[Any]:
    """Return what a condition compares with, one by one."""
    if condition.operator is not FilterOperator.IN:
        return [condition.value]
    if not isinstance(condition.value, list) or not 0 < len(condition.value) <= _MAX_VALUES:
        raise InvalidInput(f"`IN` takes a list of 1 to {_MAX_VALUES} values.", path=where)
    return condition.value


def _require_comparable(
    condition: Condition, value: Any, kind: FieldType | None, where: Where
) -> None:
    if value is None:
        raise InvalidInput(
            f"`{condition.operator}` takes a value.", path=where, hint="Ask with `EXISTS` for null."
        )
    if condition.operator in _ORDERS and (
        isinstance(value, bool) or not isinstance(value, int | float | str)
    ):
        raise InvalidInput(f"`{condition.operator}` takes a number or a text.", path=where)
    if kind is None:
        return
    if condition.operator in _ORDERS and kind not in _ORDERED:
        raise InvalidInput(f"Field {condition.path!r} is {kind}, which has no order.", path=where)
    if not accepts(kind, value) and not _is_number(kind, value):
        raise InvalidInput(f"Field {condition.path!r} is {kind}; {value!r} is not.", path=where)


def _is_number(kind: FieldType, value: Any) -> bool:
    """Tell whether a fraction is compared with an integer field, which makes sense."""
    return kind is FieldType.INTEGER and isinstance(value, float)
