"""The short way for plain leaves answers as graphql-core's long way does."""

import enum
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import strawberry
from graphql import ExecutionResult, execute, parse
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from graphql_api.operations import executing
from graphql_api.operations.awaiting import is_awaitable
from graphql_api.operations.executing import Executor
from graphql_api.scalars import BigInt, DateTime, scalar_map


@strawberry.enum
class Colour(enum.Enum):
    RED = "red"


@strawberry.type
class Leafy:
    id: strawberry.ID
    at: DateTime
    colour: Colour
    big: BigInt
    note: str | None
    number: int

    @strawberry.field
    def doubled(self) -> int:
        return self.number * 2

    @strawberry.field
    async def later(self) -> "Leafy":
        return self


class Broken(Leafy):
    @property
    def note(self) -> str | None:
        raise RuntimeError("cannot be read")

    @note.setter
    def note(self, value: str | None) -> None:
        pass


@strawberry.type
class Query:
    @strawberry.field
    def leaves(self) -> list[Leafy | None]:
        return [make(), make(number="many"), make(colour=None), make(note="x"), make(Broken)]

    @strawberry.field
    def one(self) -> Leafy | None:
        return make(at=datetime(2026, 1, 31, 13, tzinfo=timezone(timedelta(hours=1))))


def make(kind: type[Leafy] = Leafy, **fields: Any) -> Leafy:
    known: dict[str, Any] = {
        "id": strawberry.ID("a"), "at": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "colour": Colour.RED, "big": BigInt(2**40), "note": None, "number": 3,
    }  # fmt: skip
    return kind(**{**known, **fields})


SCHEMA = strawberry.Schema(Query, config=StrawberryConfig(scalar_map=scalar_map()))._schema


async def run(query: str, executor: type[StrawberryGraphQLCoreExecutionContext]) -> dict[str, Any]:
    found = execute(SCHEMA, parse(query), executor_class=executor, is_awaitable=is_awaitable)
    result = found if isinstance(found, ExecutionResult) else await found
    return dict(result.formatted)


@pytest.mark.parametrize(
    "query",
    [
        "{ leaves { id at colour big note number doubled } }",
        "{ leaves { number doubled id } }",
        "{ leaves { a: id later { note b: number } __typename c: big } }",
        "{ one { at ...More later { ...More colour } } } fragment More on Leafy { id at number }",
    ],
)
async def test_an_answer_is_what_the_long_way_gives(query: str) -> None:
    ours = await run(query, Executor)
    stock = await run(query, StrawberryGraphQLCoreExecutionContext)

    assert ours["data"] == stock["data"]
    assert _keys(ours["data"]) == _keys(stock["data"])
    assert _sorted(ours) == _sorted(stock)


async def test_plain_leaves_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    take = executing._take

    def watched(source: Any, field: Any) -> Any:
        taken.append(take(source, field))
        return taken[-1]

    monkeypatch.setattr(executing, "_take", watched)

    await run("{ one { id at colour big note number } }", Executor)

    assert taken[1:] == ["a", "2026-01-31T12:00:00.000Z", "RED", 2**40, None, 3]


def _keys(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _keys(child)) for key, child in value.items()]
    return [_keys(child) for child in value] if isinstance(value, list) else None


def _sorted(answer: dict[str, Any]) -> list[str]:
    return sorted(repr((error["message"], error["path"])) for error in answer.get("errors", []))
