"""Mutations of objects that are there."""

from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.idempotency import once_only
from graphql_api.objects.inputs import DeleteObjectsInput, UpdateObjectsInput
from graphql_api.objects.types import (
    DeleteObjectsPayload,
    UpdateObjectsPayload,
    show_deleted,
    show_updated,
)
from models.errors import StrataError
from workers.intake import require_distinct
from workers.object_changes import delete_objects, update_objects
from workers.object_replay import recall_rows


@strawberry.type
class ObjectMutation:
    """What can be done to objects."""

    @strawberry.mutation(
        description="Change metadata and tags of objects, in one transaction. Documents of them "
        "stay as they are until a batch runs over the objects again."
    )
    async def update_objects(
        self,
        info: Info,
        input: Annotated[UpdateObjectsInput, strawberry.argument(description="The changes.")],
    ) -> UpdateObjectsPayload | None:
        """Change objects."""
        stores, scope = info.context.stores, info.context.scope
        refs = [item.client_ref for item in input.objects]
        try:
            require_distinct(refs)
            done = await once_only(
                info,
                input,
                lambda claim: update_objects(
                    stores,
                    scope,
                    input.bucket_id,
                    [item.change() for item in input.objects],
                    error_policy=input.error_policy,
                    claim=claim,
                ),
                lambda made: recall_rows(scope, made["rows"]),
            )
        except StrataError as error:
            return show_updated([], [], [user_error(error)])
        return show_updated(refs, done.value, [], replayed=done.replayed)

    @strawberry.mutation(description="Delete objects, in one transaction. Documents of them stay.")
    async def delete_objects(
        self,
        info: Info,
        input: Annotated[DeleteObjectsInput, strawberry.argument(description="Which.")],
    ) -> DeleteObjectsPayload | None:
        """Delete objects."""
        stores, scope = info.context.stores, info.context.scope
        ids = list(input.object_ids)
        try:
            done = await once_only(
                info,
                input,
                lambda claim: delete_objects(
                    stores,
                    scope,
                    input.bucket_id,
                    ids,
                    error_policy=input.error_policy,
                    claim=claim,
                ),
                lambda made: recall_rows(scope, made["rows"]),
            )
        except StrataError as error:
            return show_deleted([], [], [user_error(error)])
        return show_deleted(ids, done.value, [], replayed=done.replayed)
