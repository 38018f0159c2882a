"""Subscriptions of collections."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from graphql_api.collections.following import follow_collection
from graphql_api.collections.types import Collection, show_collection
from graphql_api.context import Info


@strawberry.type
class CollectionSubscription:
    """What can be followed of collections."""

    @strawberry.subscription(
        description="Follow what is written to a collection: as it is now, then after each commit, "
        "coalesced to four a second, with its new count and index signature; completes when it is "
        "deleted. A frame says everything: to resume, subscribe again."
    )
    async def documents_written(
        self,
        info: Info,
        collection_id: Annotated[
            strawberry.ID, strawberry.argument(description="Id of the collection.")
        ],
    ) -> AsyncGenerator[Collection, None]:
        """Follow a collection."""
        async with aclosing(follow_collection(info.context, collection_id)) as collections:
            async for collection in collections:
                yield show_collection(collection)
