"""Mutations of buckets and objects."""

from typing import Annotated

import strawberry

from graphql_api.buckets.inputs import (
    CreateBucketInput,
    CreateObjectsInput,
    DeleteBucketInput,
    UpdateBucketInput,
)
from graphql_api.buckets.types import (
    CreateBucketPayload,
    CreateObjectsPayload,
    DeleteBucketPayload,
    UpdateBucketPayload,
    show_bucket,
    show_created,
)
from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.idempotency import once_only
from graphql_api.tasks.types import show_task
from models.bucket import Bucket as BucketModel
from models.errors import StrataError
from workers.buckets import open_bucket, update_bucket
from workers.deletions import delete_bucket
from workers.intake import require_distinct, write_objects
from workers.object_replay import recall_rows


@strawberry.type
class BucketMutation:
    """What can be done to buckets."""

    @strawberry.mutation(description="Create a bucket.")
    async def create_bucket(
        self,
        info: Info,
        input: Annotated[CreateBucketInput, strawberry.argument(description="The bucket.")],
    ) -> CreateBucketPayload | None:
        """Create a bucket."""
        scope = info.context.scope
        try:
            done = await once_only(
                info,
                input,
                lambda claim: open_bucket(
                    scope,
                    input.name,
                    description=input.description,
                    fields=[field.spec() for field in input.fields or []],
                    unique_key=None if input.unique_key is None else input.unique_key.model(),
                    claim=claim,
                ),
                lambda made: scope.require(BucketModel, made["bucket_id"]),
            )
        except StrataError as error:
            return CreateBucketPayload(bucket=None, user_errors=[user_error(error)])
        return CreateBucketPayload(
            bucket=show_bucket(done.value), user_errors=[], replayed=done.replayed
        )

    @strawberry.mutation(description="Rename a bucket, describe it, or add optional fields.")
    async def update_bucket(
        self,
        info: Info,
        input: Annotated[UpdateBucketInput, strawberry.argument(description="The changes.")],
    ) -> UpdateBucketPayload | None:
        """Change a bucket."""
        try:
            bucket = await update_bucket(
                info.context.scope,
                input.id,
                name=input.name,
                description=input.description,
                add_fields=[field.spec() for field in input.add_fields or []],
            )
        except StrataError as error:
            return UpdateBucketPayload(bucket=None, user_errors=[user_error(error)])
        return UpdateBucketPayload(bucket=show_bucket(bucket), user_errors=[])

    @strawberry.mutation(
        description="Register objects, or change those of the same keys, as `policy` allows; what "
        "a bad row means for the others says `errorPolicy`."
    )
    async def create_objects(
        self,
        info: Info,
        input: Annotated[CreateObjectsInput, strawberry.argument(description="The objects.")],
    ) -> CreateObjectsPayload | None:
        """Register objects."""
        stores, scope = info.context.stores, info.context.scope
        refs = [item.client_ref for item in input.objects]
        try:
            require_distinct(refs)
            drafts = [item.draft() for item in input.objects]
            done = await once_only(
                info,
                input,
                lambda claim: write_objects(
                    stores,
                    scope,
                    input.bucket_id,
                    drafts,
                    policy=input.policy,
                    error_policy=input.error_policy,
                    claim=claim,
                ),
                lambda made: recall_rows(scope, made["rows"]),
            )
        except StrataError as error:
            return show_created([], [], [user_error(error)])
        return show_created(refs, done.value, [], replayed=done.replayed)

    @strawberry.mutation(
        description="Delete a bucket with its objects and drafts, as a task; asked again, it "
        "answers with that task. Collections that read it, their documents and ended batches stay."
    )
    async def delete_bucket(
        self,
        info: Info,
        input: Annotated[DeleteBucketInput, strawberry.argument(description="Which.")],
    ) -> DeleteBucketPayload | None:
        """Begin to delete a bucket."""
        try:
            task = await delete_bucket(
                info.context.stores, info.context.scope, input.id, force=input.force
            )
        except StrataError as error:
            return DeleteBucketPayload(task=None, user_errors=[user_error(error)])
        return DeleteBucketPayload(task=show_task(task), user_errors=[])
