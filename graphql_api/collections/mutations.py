"""Mutations of collections."""

from typing import Annotated

import strawberry

from graphql_api.collections.inputs import (
    CloneCollectionInput,
    CreateCollectionInput,
    DeleteCollectionInput,
    UpdateCollectionInput,
)
from graphql_api.collections.types import (
    CloneCollectionPayload,
    CreateCollectionPayload,
    DeleteCollectionPayload,
    UpdateCollectionPayload,
    show_collection,
)
from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.idempotency import once_only
from graphql_api.tasks.types import show_task
from models.collection import Collection as CollectionModel
from models.errors import StrataError
from workers.collection_changes import clone_collection, update_collection
from workers.collections import open_collection
from workers.deletions import delete_collection


@strawberry.type
class CollectionMutation:
    """What can be done to collections."""

    @strawberry.mutation(description="Create a collection; its output fields are computed now.")
    async def create_collection(
        self,
        info: Info,
        input: Annotated[CreateCollectionInput, strawberry.argument(description="The collection.")],
    ) -> CreateCollectionPayload | None:
        """Create a collection."""
        scope = info.context.scope
        try:
            done = await once_only(
                info,
                input,
                lambda claim: open_collection(
                    scope, input.draft(), settings=info.context.stores.settings, claim=claim
                ),
                lambda made: scope.require(CollectionModel, made["collection_id"]),
            )
        except StrataError as error:
            return CreateCollectionPayload(collection=None, user_errors=[user_error(error)])
        return CreateCollectionPayload(
            collection=show_collection(done.value), user_errors=[], replayed=done.replayed
        )

    @strawberry.mutation(
        description="Delete a collection with its documents, as a task; asked again, it answers "
        "with that task. Refused while other collections read it."
    )
    async def delete_collection(
        self,
        info: Info,
        input: Annotated[DeleteCollectionInput, strawberry.argument(description="Which.")],
    ) -> DeleteCollectionPayload | None:
        """Begin to delete a collection."""
        try:
            task = await delete_collection(
                info.context.stores, info.context.scope, input.id, force=input.force
            )
        except StrataError as error:
            return DeleteCollectionPayload(task=None, user_errors=[user_error(error)])
        return DeleteCollectionPayload(task=show_task(task), user_errors=[])

    @strawberry.mutation(
        description="Rename or describe a collection. What makes its documents never changes."
    )
    async def update_collection(
        self,
        info: Info,
        input: Annotated[UpdateCollectionInput, strawberry.argument(description="The changes.")],
    ) -> UpdateCollectionPayload | None:
        """Change a collection."""
        try:
            collection = await update_collection(
                info.context.scope, input.id, name=input.name, description=input.description
            )
        except StrataError as error:
            return UpdateCollectionPayload(collection=None, user_errors=[user_error(error)])
        return UpdateCollectionPayload(collection=show_collection(collection), user_errors=[])

    @strawberry.mutation(
        description="Create a collection like another, without its documents: the way to other "
        "parameters. A batch over the source's objects fills it."
    )
    async def clone_collection(
        self,
        info: Info,
        input: Annotated[CloneCollectionInput, strawberry.argument(description="Of which.")],
    ) -> CloneCollectionPayload | None:
        """Clone a collection."""
        scope = info.context.scope
        try:
            done = await once_only(
                info,
                input,
                lambda claim: clone_collection(
                    scope,
                    input.id,
                    name=input.name,
                    description=input.description,
                    parameters=input.parameters,
                    settings=info.context.stores.settings,
                    claim=claim,
                ),
                lambda made: scope.require(CollectionModel, made["collection_id"]),
            )
        except StrataError as error:
            return CloneCollectionPayload(collection=None, user_errors=[user_error(error)])
        return CloneCollectionPayload(
            collection=show_collection(done.value), user_errors=[], replayed=done.replayed
        )
