"""Inputs of changing and listing objects."""

import strawberry

from graphql_api.collections.inputs import FilterInput
from graphql_api.directions import OrderDirection
from graphql_api.enums import ErrorPolicy
from graphql_api.idempotency import key_field
from graphql_api.scalars import JSON
from workers.object_changes import ObjectChange
from workers.object_lists import ObjectSelection


@strawberry.input(description="An object to be changed; what is left out stays.")
class ObjectChangeInput:
    """Input for one row of updateObjects."""

    id: strawberry.ID = strawberry.field(description="The object.")
    metadata: JSON | None = strawberry.field(
        default=None, description="Merged key by key; a key with null is removed."
    )
    tags: list[str] | None = strawberry.field(default=None, description="Instead of its tags.")
    client_ref: str | None = strawberry.field(
        default=None, description="Repeated in the row's result; given once in a request."
    )

    def change(self) -> ObjectChange:
        """Return the workers' form."""
        return ObjectChange(self.id, self.metadata, self.tags)


@strawberry.input(description="Objects of one bucket to be changed.")
class UpdateObjectsInput:
    """Input of updateObjects."""

    bucket_id: strawberry.ID = strawberry.field(description="The bucket.")
    objects: list[ObjectChangeInput] = strawberry.field(description="At most 1,000.")
    error_policy: ErrorPolicy = strawberry.field(
        default=ErrorPolicy.REJECT_ALL, description="What a bad row means for the others."
    )
    idempotency_key: str | None = key_field()


@strawberry.input(description="Objects of one bucket to be deleted; documents of them stay.")
class DeleteObjectsInput:
    """Input of deleteObjects."""

    bucket_id: strawberry.ID = strawberry.field(description="The bucket.")
    object_ids: list[strawberry.ID] = strawberry.field(description="At most 1,000.")
    error_policy: ErrorPolicy = strawberry.field(
        default=ErrorPolicy.REJECT_ALL, description="What an unknown id means for the others."
    )
    idempotency_key: str | None = key_field()


@strawberry.input(description="Which objects; every part that is given must fit.")
class ObjectFilter:
    """Filter of objects."""

    keys: list[str] | None = strawberry.field(
        default=None, description="With one of these keys, at most 1,000."
    )
    tags: list[str] | None = strawberry.field(default=None, description="With all of these tags.")
    where: FilterInput | None = strawberry.field(
        default=None, description="Whose metadata fit. A list fits when one of its items does."
    )

    def selection(self, bucket_id: str) -> ObjectSelection:
        """Return the workers' form."""
        return ObjectSelection(
            bucket_id, self.keys, self.tags, self.where.tree() if self.where else None
        )


@strawberry.input(
    description="The order of objects: numbers, then texts, then booleans; what has none of these "
    "comes last in either direction. Equal values go by id."
)
class ObjectOrder:
    """Order of objects."""

    field: str = strawberry.field(description="`key`, or a dotted path in the metadata.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="In which direction."
    )
