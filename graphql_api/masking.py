"""Presents the errors of queries and mutations; the websocket presents those of streams.

What nobody expected is logged there, once, under its request id. What a caller did wrong is not:
the library would log it with the document, whose literals may be secrets.
"""

from collections.abc import AsyncIterator

import strawberry
from graphql import GraphQLError
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionContext

from graphql_api.context import Context
from graphql_api.errors import present


class QuietSchema(strawberry.Schema):
    """A schema that leaves the logging of errors to `Masking`."""

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Do nothing."""


class Masking(SchemaExtension):
    """Gives each error its code, and takes from it what a client must not see."""

    async def on_operation(self) -> AsyncIterator[None]:
        """Present the errors of a finished operation."""
        yield
        result = self.execution_context.result
        context = self.execution_context.context
        if result is not None and result.errors and isinstance(context, Context):
            result.errors = [
                present(error, request_id=context.request_id) for error in result.errors
            ]
