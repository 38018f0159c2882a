"""Mutations of collections."""

from typing import Annotated

import strawberry

from graphql_api.collections.inputs import CreateCollectionInput
from graphql_api.collections.types import CreateCollectionPayload, show_collection
from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.idempotency import once_only
from models.collection import Collection as CollectionModel
from models.errors import StrataError
from workers.collections import open_collection


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
