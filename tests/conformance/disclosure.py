"""Gate: nobody learns the schema by guessing nearly right, which is how clairvoyance works.

Every name of the schema is sent with a slip in it, where it belongs; no answer may hold the name
itself. What is guessed exactly is confirmed, with what it requires: only trusted documents in the
mode `only` close that. The gate `clairvoyance` runs the tool itself, which asks less.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

import httpx
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    is_required_argument,
    is_required_input_field,
)

from tests.conformance.target import ROOT, Target

_SHORTEST: Final = 4  # letters: a shorter name with a slip is another word
_AT_ONCE: Final = 20  # guesses in one document


def run(target: Target) -> bool:
    """Return whether no answer tells a name that was not asked for."""
    schema = build_schema((ROOT / "graphql_api" / "schema.graphql").read_text())
    names = names_of(schema)
    told: set[str] = set()
    asked = 0
    headers = {"authorization": f"Bearer {target.reader}"}
    with httpx.Client(
        base_url=target.endpoint.removesuffix("/graphql"), headers=headers, timeout=30
    ) as client:
        for query in _documents(schema):
            asked += 1
            errors = client.post("/graphql", json={"query": query}).json().get("errors", [])
            said = json.dumps([error["message"] for error in errors])
            new = (set(re.findall(r"\w+", said)) & names) - set(re.findall(r"\w+", query))
            if new:
                print(query[:200], "->", said[:300])
            told |= new
    print(f"{asked} documents of wrong guesses; names told: {', '.join(sorted(told)) or 'none'}")
    return not told


def names_of(schema: GraphQLSchema) -> set[str]:
    """Return the names that are not English words in errors: those of two words or more."""
    found: set[str] = set()
    for name, kind in schema.type_map.items():
        if name.startswith("__"):
            continue
        found.add(name)
        if isinstance(kind, GraphQLObjectType | GraphQLInputObjectType):
            found |= kind.fields.keys()
        if isinstance(kind, GraphQLEnumType):
            found |= kind.values.keys()
    return {name for name in found if re.search(r"[a-z][A-Z]|_", name) and len(name) >= _SHORTEST}


def slips_of(name: str) -> Iterator[str]:
    """Yield a name with a letter too few, too many, and two in each other's place."""
    yield name[:-1]
    yield f"{name}s"
    yield name[:1] + name[2:3] + name[1:2] + name[3:]


def _wrong(kind: GraphQLObjectType) -> list[str]:
    """Return every name of a type's fields with a slip, unless that is another of them."""
    return [slip for name in kind.fields for slip in slips_of(name) if slip not in kind.fields]


def _documents(schema: GraphQLSchema) -> Iterator[str]:
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    for root, keyword in ((schema.query_type, "query"), (schema.mutation_type, "mutation")):
        guesses = _wrong(root)
        for start in range(0, len(guesses), _AT_ONCE // 2):
            yield f"{keyword} {{ {' '.join(guesses[start : start + _AT_ONCE // 2])} }}"
        for name, field in root.fields.items():
            if any(map(is_required_argument, field.args.values())):
                continue
            for argument in field.args:
                yield f"{keyword} {{ {name}({argument[:-1]}: 1) {{ __typename }} }}"
    for name in schema.type_map:
        yield f"query($v: {name}s) {{ __typename }}"
        yield f"{{ __typename ... on {name[:-1]} {{ __typename }} }}"
    yield from _below(schema)


def _below(schema: GraphQLSchema) -> Iterator[str]:
    """Guess at the fields of what a query returns, and at enum values and fields of inputs."""
    assert schema.query_type is not None
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType) and "id" in kind.fields:
            guesses = _wrong(kind)
            for start in range(0, len(guesses), _AT_ONCE):
                inner = " ".join(guesses[start : start + _AT_ONCE])
                yield f'{{ node(id: "x") {{ ... on {kind.name} {{ {inner} }} }} }}'
        if isinstance(kind, GraphQLInputObjectType) and not any(
            is_required_input_field(one) for one in kind.fields.values()
        ):
            inner = ", ".join(f"{name}s: 1" for name in kind.fields)
            yield f"query($v: {kind.name} = {{{inner}}}) {{ __typename }}"
        if isinstance(kind, GraphQLEnumType):
            for value in kind.values:
                yield f"query($v: {kind.name} = {value}S) {{ __typename }}"
