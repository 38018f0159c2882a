"""Inputs of searching documents."""

import strawberry


@strawberry.input(one_of=True, description="What to search for: exactly one of the two.")
class SearchQueryInput:
    """A query by text or by vector."""

    text: strawberry.Maybe[str] = strawberry.field(
        description="Embedded as the collection's documents are."
    )
    vector: strawberry.Maybe[list[float]] = strawberry.field(
        description="As many numbers as the collection's vector has."
    )
