"""Queries of collections and extractors."""

from typing import Annotated

import strawberry

from graphql_api.collections.extractors import Extractor, show_extractors
from graphql_api.collections.types import Collection, show_collection
from graphql_api.context import Info
from graphql_api.listing import list_page
from graphql_api.pagination import After, Before, Connection, First, Last
from models.collection import Collection as CollectionModel


@strawberry.type
class CollectionQuery:
    """What there is to read of collections."""

    @strawberry.field(description="One collection, or null.")
    async def collection(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Id of the collection.")],
    ) -> Collection | None:
        """Return a collection."""
        found = await info.context.scope.find(CollectionModel, id)
        return None if found is None else show_collection(found)

    @strawberry.field(description="The namespace's collections, oldest first.")
    async def collections(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Collection] | None:
        """List collections."""
        return await list_page(
            info.context, CollectionModel, show_collection, kind="collections",
            first=first, after=after, last=last, before=before,
        )  # fmt: skip

    @strawberry.field(description="The catalogue of extractors, by name.")
    async def extractors(self, info: Info) -> list[Extractor] | None:
        """List extractors."""
        _ = info.context.scope  # needs a key, as everything does
        return show_extractors()
