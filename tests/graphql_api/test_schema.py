"""The schema: committed as printed, described throughout, nullable where it must be."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
)
from strawberry.types.enum import StrawberryEnumDefinition

import graphql_api
from graphql_api.commands.sdl import schema_text
from graphql_api.schema import schema

SDL = Path(graphql_api.__file__).parent / "schema.graphql"
ROOTS = ("Query", "Mutation", "Subscription")


def printed() -> GraphQLSchema:
    return build_schema(schema_text())


def described(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Yield everything that has a description, by its coordinate."""
    for name, kind in schema.type_map.items():
        if name.startswith("__") or name in ("String", "Int", "Float", "Boolean", "ID"):
            continue
        yield name, kind.description or (name if name in ROOTS else None)
        if isinstance(kind, GraphQLEnumType):
            for value_name, value in kind.values.items():
                yield f"{name}.{value_name}", value.description
        if isinstance(kind, GraphQLInputObjectType):
            for field_name, input_field in kind.fields.items():
                yield f"{name}.{field_name}", input_field.description
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in kind.fields.items():
                yield f"{name}.{field_name}", field.description
                for argument_name, argument in field.args.items():
                    yield f"{name}.{field_name}({argument_name}:)", argument.description


def test_the_committed_schema_is_the_printed_one() -> None:
    assert SDL.read_text() == schema_text()


def test_arguments_hold_members_of_enums() -> None:
    kinds = [
        kind
        for kind in schema._schema.type_map.values()
        if isinstance(kind, GraphQLEnumType) and not kind.name.startswith("__")
    ]

    assert len(kinds) > 10
    for kind in kinds:
        for name, value in kind.values.items():
            assert isinstance(value.value, Enum), f"{kind.name}.{name} is {value.value!r}"


def test_everything_has_a_description() -> None:
    found = dict(described(printed()))

    assert len(found) > 300
    assert [name for name, text in found.items() if not (text and text.strip())] == []


def test_what_can_be_refused_alone_is_nullable() -> None:
    schema = printed()

    for root in ROOTS[:2]:
        kind = schema.type_map[root]
        assert isinstance(kind, GraphQLObjectType)
        hard = [name for name, f in kind.fields.items() if isinstance(f.type, GraphQLNonNull)]
        assert hard == []


def test_a_mutation_answers_with_a_nullable_object_and_user_errors() -> None:
    schema = printed()
    mutations = schema.type_map["Mutation"]
    assert isinstance(mutations, GraphQLObjectType)

    for name, field in mutations.fields.items():
        assert list(field.args) == ["input"]
        payload = schema.type_map[f"{name[0].upper()}{name[1:]}Payload"]
        assert field.type is payload
        assert isinstance(payload, GraphQLObjectType)
        assert str(payload.fields["userErrors"].type) == "[UserError!]!"
        assert str(payload.fields["query"].type) == "Query!"


def test_no_page_can_be_asked_for_without_a_cursor() -> None:
    schema = printed()
    connections = [name for name in schema.type_map if name.endswith("Connection")]

    assert len(connections) >= 6
    for name in connections:
        kind = schema.type_map[name]
        assert isinstance(kind, GraphQLObjectType)
        assert set(kind.fields) == {"edges", "pageInfo", "totalCount"}


def test_every_value_of_an_enum_can_be_shown() -> None:
    """A sorted schema finds members by equality only: they have to be strings."""
    for name, kind in schema._schema.type_map.items():
        if isinstance(kind, GraphQLEnumType) and not name.startswith("__"):
            definition = schema.get_type_by_name(name)
            assert isinstance(definition, StrawberryEnumDefinition)
            members: list[object] = list(definition.wrapped_cls)
            shown = [kind.coerce_output_value(member) for member in members]
            assert sorted(shown) == sorted(kind.values)
