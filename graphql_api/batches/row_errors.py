"""Rows that failed, and why."""

import strawberry

from graphql_api.enums import ErrorCategory
from graphql_api.node import Node
from graphql_api.scalars import DateTime
from models.row_error import RowError as RowErrorModel


@strawberry.type(description="A failed row, or a failed block of rows.")
class RowError(Node):
    """A row error as shown."""

    category: ErrorCategory = strawberry.field(description="The kind of failure.")
    message: str = strawberry.field(description="What went wrong.")
    hint: str = strawberry.field(description="What to do about it; may be empty.")
    extractor: str = strawberry.field(description="The extractor.")
    rows: int = strawberry.field(description="How many rows it speaks of.")
    attempts: int = strawberry.field(description="How often it was tried.")
    transient: bool = strawberry.field(description="Whether another try may succeed.")
    object_id: strawberry.ID | None = strawberry.field(
        description="The object; null for a whole block."
    )
    collection_id: strawberry.ID = strawberry.field(description="The collection.")
    created_at: DateTime = strawberry.field(description="When it was recorded.")


def show_row_error(model: RowErrorModel) -> RowError:
    """Return a row error as shown."""
    object_id = model.object_id
    return RowError(
        id=strawberry.ID(model.id),
        category=model.category,
        message=model.message,
        hint=model.hint,
        extractor=model.extractor,
        rows=model.rows,
        attempts=model.attempts,
        transient=model.transient,
        object_id=None if object_id is None else strawberry.ID(object_id),
        collection_id=strawberry.ID(model.collection_id),
        created_at=DateTime(model.created_at),
    )
