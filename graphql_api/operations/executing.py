"""The executor: graphql-core's, with a short way for what most of an answer is made of.

A leaf that is a plain attribute of its object needs no arguments, no path, no resolve info and no
look for awaitables. Whatever is unusual about one, an error included, is left to the long way.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, cast

from graphql import GraphQLField, GraphQLObjectType, get_nullable_type, is_leaf_type
from graphql.execution.collect_fields import GroupedFieldSet
from graphql.pyutils import AwaitableOrValue, Path, Undefined
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

_DEFINITION: Final = GraphQLCoreConverter.DEFINITION_BACKREF
_KEPT: Final = "strata-leaf"


class _Leaf(NamedTuple):
    attribute: str
    coerce: Callable[[Any], Any]
    nullable: bool


class Executor(StrawberryGraphQLCoreExecutionContext):
    """Executes one operation."""

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> AwaitableOrValue[dict[str, Any]]:
        """Take the plain leaves at once, and the rest as graphql-core does."""
        fields = parent_type.fields
        answer: dict[str, Any] = {}
        rest: dict[str, Any] = {}
        for key, details in grouped_field_set.items():
            field = fields.get(details[0].node.name.value)
            answer[key] = value = Undefined if field is None else _take(source_value, field)
            if value is Undefined:
                rest[key] = details
        if not rest:
            return answer
        taken = super().execute_fields(parent_type, source_value, path, rest, position_context)
        if self.is_awaitable(taken):
            return _join(answer, taken, rest)
        return _joined(answer, cast("dict[str, Any]", taken), rest)


def _joined(answer: dict[str, Any], taken: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """Put the rest in its places; a field that is not in the schema has none."""
    answer.update(taken)
    if len(taken) < len(rest):
        for key in rest.keys() - taken.keys():
            del answer[key]
    return answer


async def _join(
    answer: dict[str, Any], taken: Awaitable[dict[str, Any]], rest: dict[str, Any]
) -> dict[str, Any]:
    return _joined(answer, await taken, rest)


def _take(source: Any, field: GraphQLField) -> Any:
    """Return a plain leaf's value, or Undefined for what has to go the long way."""
    leaf = field.extensions.get(_KEPT, Undefined)
    if leaf is Undefined:
        leaf = field.extensions[_KEPT] = _find_leaf(field)
    if leaf is None:
        return Undefined
    try:
        value = getattr(source, leaf.attribute)
        if value is None:
            return None if leaf.nullable else Undefined
        shown = leaf.coerce(value)
    except Exception:  # told with its place by the long way
        return Undefined
    return Undefined if shown is None else shown


def _find_leaf(field: GraphQLField) -> _Leaf | None:
    definition = field.extensions.get(_DEFINITION)
    kind = get_nullable_type(field.type)
    plain = getattr(field.resolve, "_is_default", False)
    if not plain or not isinstance(definition, StrawberryField) or not is_leaf_type(kind):
        return None
    return _Leaf(definition.python_name, kind.coerce_output_value, kind is field.type)
