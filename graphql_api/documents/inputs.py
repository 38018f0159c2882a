"""Inputs of reading and searching documents."""

import strawberry

from graphql_api.collections.inputs import FilterInput
from graphql_api.directions import OrderDirection
from workers.documents import DocumentSelection


@strawberry.input(one_of=True, description="What to search for: exactly one of the two.")
class SearchQueryInput:
    """A query by text or by vector."""

    text: strawberry.Maybe[str] = strawberry.field(
        description="Embedded as the collection's documents are."
    )
    vector: strawberry.Maybe[list[float]] = strawberry.field(
        description="As many numbers as the collection's vector has."
    )


@strawberry.input(description="Which documents; every part that is given must fit.")
class DocumentFilter:
    """Filter of documents."""

    object_id: strawberry.ID | None = strawberry.field(
        default=None, description="Made of this object, directly or not."
    )
    batch_id: strawberry.ID | None = strawberry.field(
        default=None, description="Last written by this batch."
    )
    where: FilterInput | None = strawberry.field(
        default=None,
        description="Whose fields fit. A list fits when one of its items does.",
    )

    def selection(self, collection_id: str) -> DocumentSelection:
        """Return the workers' form."""
        return DocumentSelection(
            collection_id,
            object_id=self.object_id,
            batch_id=self.batch_id,
            where=self.where.tree() if self.where else None,
        )


@strawberry.input(
    description="The order of documents: numbers, then texts, then booleans; what has none of "
    "these comes last in either direction. Equal values go by id."
)
class DocumentOrder:
    """Order of documents."""

    field: str = strawberry.field(description="Dotted path in the document's fields.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="In which direction."
    )
