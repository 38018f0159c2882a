"""Queries of buckets and objects."""

from typing import Annotated

import strawberry

from graphql_api.buckets.types import Bucket, Object, show_bucket, show_object
from graphql_api.context import Info
from graphql_api.listing import list_page
from graphql_api.objects.inputs import ObjectFilter, ObjectOrder
from graphql_api.objects.listing import list_objects
from graphql_api.pagination import After, Before, Connection, First, Last
from models.bucket import Bucket as BucketModel
from models.object import Object as ObjectModel


@strawberry.type
class BucketQuery:
    """What there is to read of buckets."""

    @strawberry.field(description="One bucket, or null.")
    async def bucket(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Id of the bucket.")],
    ) -> Bucket | None:
        """Return a bucket."""
        found = await info.context.scope.find(BucketModel, id)
        return None if found is None else show_bucket(found)

    @strawberry.field(description="The namespace's buckets, oldest first.")
    async def buckets(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Bucket] | None:
        """List buckets."""
        return await list_page(
            info.context, BucketModel, show_bucket, kind="buckets",
            first=first, after=after, last=last, before=before,
        )  # fmt: skip

    @strawberry.field(description="One object, or null.")
    async def object(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Id of the object.")],
    ) -> Object | None:
        """Return an object."""
        found = await info.context.scope.find(ObjectModel, id)
        return None if found is None else show_object(found)

    @strawberry.field(description="A bucket's objects, oldest first or in the order of a field.")
    async def objects(
        self,
        info: Info,
        bucket_id: Annotated[strawberry.ID, strawberry.argument(description="Id of the bucket.")],
        filter: Annotated[
            ObjectFilter | None, strawberry.argument(description="Which objects; all if none.")
        ] = None,
        order_by: Annotated[
            ObjectOrder | None, strawberry.argument(description="By which field; by id if none.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Object] | None:
        """List objects."""
        return await list_objects(
            info.context, bucket_id, filter=filter, order_by=order_by,
            first=first, after=after, last=last, before=before,
        )  # fmt: skip
