"""Lines of an import that were wrong, and why."""

import strawberry

from graphql_api.node import Node
from graphql_api.scalars import BigInt, DateTime
from models.line_error import LineError as LineErrorModel


@strawberry.type(description="One thing that was wrong with one line of an import.")
class LineError(Node):
    """A line error as shown."""

    line: BigInt = strawberry.field(description="The number of the line, from 1.")
    code: str = strawberry.field(description="What was wrong, in the codes of userErrors; stable.")
    message: str = strawberry.field(description="The same in a sentence.")
    path: list[str] = strawberry.field(description="Where in the line; empty for all of it.")
    hint: str = strawberry.field(description="What to do about it; may be empty.")
    client_ref: str | None = strawberry.field(description="As the line gave it.")
    rejected: bool = strawberry.field(
        description="Whether the line was not taken; otherwise it was, without what was wrong."
    )
    created_at: DateTime = strawberry.field(description="When it was found.")


def show_line_error(model: LineErrorModel) -> LineError:
    """Return a line error as shown."""
    return LineError(
        id=strawberry.ID(model.id),
        line=BigInt(model.line),
        code=model.code,
        message=model.message,
        path=model.path,
        hint=model.hint,
        client_ref=model.client_ref,
        rejected=model.rejected,
        created_at=DateTime(model.created_at),
    )
