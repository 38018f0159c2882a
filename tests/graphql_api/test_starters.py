"""The operations that GraphiQL offers are operations of this schema."""

import json
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from graphql_api.graphiql import STATIC
from graphql_api.schema import schema

STARTERS: list[dict[str, Any]] = json.loads((STATIC / "graphiql" / "starters.json").read_text())


@pytest.mark.parametrize("starter", STARTERS, ids=lambda starter: str(starter["title"]))
def test_a_starter_is_valid_against_the_schema(starter: dict[str, Any]) -> None:
    assert validate(build_schema(schema.as_str()), parse(starter["query"])) == []
