"""What every answer to a mutation has: the way back to reading."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from graphql_api.context import Info

if TYPE_CHECKING:
    from graphql_api.schema import Query

# Merged of its rooms when the schema is assembled, so that mypy takes it for a variable.
Root = Annotated["Query", strawberry.lazy("graphql_api.schema")]  # type: ignore[valid-type]


@strawberry.type
class Payload:
    """An answer to a mutation."""

    @strawberry.field(
        description="Everything there is to read, as it is after the mutation: what else has "
        "changed can be asked for in the same request."
    )
    def query(self, info: Info) -> "Root":
        """Return the root of queries, with nothing remembered from before the mutation."""
        from graphql_api.schema import Query

        info.context.forget()
        return Query()  # type: ignore[no-any-return]
