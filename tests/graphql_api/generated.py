"""Operations made from the schema: one for each root field and for each object type.

Arguments are filled by the names of inputs: `ids` says which id stands for `bucketId` and the like.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

# Values of required arguments that no type tells; the input's own name decides before its type.
_NAMED: Mapping[str, Any] = {"first": 1, "last": 1}
_SCALARS: Mapping[str, Any] = {
    "String": "text",
    "Int": 1,
    "Float": 1.0,
    "Boolean": False,
    "BigInt": 1,
    "JSON": {},
    "DateTime": "2030-01-01T00:00:00Z",
}


@dataclass
class Operation:
    """A document under way: its variables are collected while its fields are written."""

    ids: Mapping[str, str]
    variables: dict[str, Any] = field(default_factory=dict)
    declared: list[str] = field(default_factory=list)

    def arguments(self, owner: str, chosen: GraphQLField) -> str:
        """Return a field's required arguments, and those that name an id, as variables."""
        given = []
        for name, argument in chosen.args.items():
            if not is_required_argument(argument) and not _names_id(argument.type, name):
                continue
            variable = f"v{len(self.variables)}"
            self.variables[variable] = self._value(argument.type, name, owner)
            self.declared.append(f"${variable}: {argument.type}")
            given.append(f"{name}: ${variable}")
        return f"({', '.join(given)})" if given else ""

    def _value(self, kind: GraphQLInputType, name: str, owner: str) -> Any:
        if isinstance(kind, GraphQLNonNull):
            return self._value(kind.of_type, name, owner)
        if isinstance(kind, GraphQLList):
            return [self._value(kind.of_type, name, owner)]
        if isinstance(kind, GraphQLInputObjectType):
            if kind.is_one_of:
                first = next(iter(kind.fields.items()))
                return {first[0]: self._value(GraphQLNonNull(first[1].type), first[0], owner)}
            return {
                key: self._value(one.type, key, owner)
                for key, one in kind.fields.items()
                if is_required_input_field(one) or _names_id(one.type, key)
            }
        if isinstance(kind, GraphQLEnumType):
            return next(iter(kind.values))
        if kind.name == "ID":
            return self._id(name, owner)
        return _NAMED.get(name, _SCALARS[kind.name])

    def _id(self, name: str, owner: str) -> str:
        """Return the id of what `bucketId` names; a plain `id` is of what its field is about."""
        wanted = name.removesuffix("Ids").removesuffix("Id") if name not in ("id", "ids") else owner
        for kind, value in self.ids.items():
            if wanted.lower().endswith(kind.lower()):
                return value
        return self.ids[""]

    def document(self, keyword: str, body: str) -> str:
        """Return the whole document."""
        declared = f"({', '.join(self.declared)})" if self.declared else ""
        return f"{keyword}{declared} {{ {body} }}"


def _names_id(kind: GraphQLInputType, name: str) -> bool:
    named = get_named_type(kind)
    return named.name == "ID" and name != "namespaceId"


def root_operation(
    schema: GraphQLSchema, full_name: str, ids: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    """Return an operation that selects one root field and of its answer what has no arguments."""
    root_name, _, name = full_name.partition(".")
    root = schema.type_map[root_name]
    assert isinstance(root, GraphQLObjectType)
    chosen = root.fields[name]
    operation = Operation(ids)
    call = f"{name}{operation.arguments(name, chosen)}{_shallow(chosen.type)}"
    return operation.document(root_name.lower(), call), operation.variables


def _shallow(kind: GraphQLOutputType, depth: int = 3) -> str:
    """Select leaves, and the leaves of what lies below, without arguments."""
    named = get_named_type(kind)
    if is_leaf_type(named):
        return ""
    if isinstance(named, GraphQLUnionType) or not depth:
        return " { __typename }"
    assert isinstance(named, GraphQLObjectType | GraphQLInterfaceType)
    parts = [
        f"{name}{_shallow(one.type, depth - 1)}"
        for name, one in named.fields.items()
        if not _required(one) and (depth > 1 or is_leaf_type(get_named_type(one.type)))
    ]
    return f" {{ __typename {' '.join(parts)} }}"


def _required(one: GraphQLField) -> bool:
    return any(is_required_argument(argument) for argument in one.args.values())


@dataclass(frozen=True)
class Path:
    """How an object type is reached from a root field."""

    root: str
    steps: tuple[tuple[str, str], ...]  # type and field, from the root on

    def __str__(self) -> str:
        return f"{self.root}." + ".".join(name for _, name in self.steps)


def paths_to_types(schema: GraphQLSchema) -> dict[str, Path]:
    """Return a shortest path from a query, a mutation or a subscription to each object type."""
    roots = [schema.query_type, schema.mutation_type, schema.subscription_type]
    found: dict[str, Path] = {}
    queue: deque[tuple[GraphQLObjectType, Path]] = deque(
        (root, Path(root.name, ())) for root in roots if root is not None
    )
    while queue:
        kind, path = queue.popleft()
        for name, one in kind.fields.items():
            for reached in _objects(schema, one.type):
                if reached.name not in found:
                    step = Path(path.root, (*path.steps, (kind.name, name)))
                    found[reached.name] = step
                    queue.append((reached, step))
    return found


def _objects(schema: GraphQLSchema, kind: GraphQLOutputType) -> Iterator[GraphQLObjectType]:
    named = get_named_type(kind)
    if isinstance(named, GraphQLObjectType):
        yield named
    elif isinstance(named, GraphQLInterfaceType | GraphQLUnionType):
        yield from schema.get_possible_types(named)


def type_operation(
    schema: GraphQLSchema, type_name: str, path: Path, ids: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    """Return an operation that selects every field of one type at the end of a path."""
    operation = Operation(ids)
    kind = schema.type_map[type_name]
    assert isinstance(kind, GraphQLObjectType)
    every = " ".join(
        f"{name}{operation.arguments(type_name, one)}{_bare(one)}"
        for name, one in kind.fields.items()
    )
    body = f"__typename ... on {type_name} {{ {every} }}"
    reached = type_name
    for owner_name, name in reversed(path.steps):
        owner = schema.type_map[owner_name]
        assert isinstance(owner, GraphQLObjectType)
        one = owner.fields[name]
        # `node` does not say what it is about: whatever comes next on the path.
        given = operation.arguments(reached if name in ("node", "nodes") else name, one)
        body = f"... on {owner_name} {{ {name}{given} {{ {body} }} }}"
        reached = owner_name
    return operation.document(path.root.lower(), body), operation.variables


def _bare(one: GraphQLField) -> str:
    return "" if is_leaf_type(get_named_type(one.type)) else " { __typename }"
