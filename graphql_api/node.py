"""The interface of everything that has an id."""

import strawberry


@strawberry.interface(description="Something with an id.")
class Node:
    """Relay's node."""

    id: strawberry.ID = strawberry.field(
        description="Opaque and stable; its prefix names the type."
    )
