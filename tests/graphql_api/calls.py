"""What tests of several rooms say in the same way: one root field, and its user errors."""

from typing import Any

from tests.fixtures.stack import GraphQL

ERRORS = "userErrors { code message path hint }"


async def call(caller: GraphQL, query: str, /, **variables: Any) -> dict[str, Any]:
    """Return the one root field of an answer without errors."""
    (field,) = (await caller.data(query, **variables)).values()
    assert isinstance(field, dict)
    return field


def codes(payload: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return code and path of each user error; each has a message too."""
    assert all(error["message"] for error in payload["userErrors"])
    return [(error["code"], error["path"]) for error in payload["userErrors"]]
