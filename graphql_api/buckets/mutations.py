"""Mutations of buckets and objects."""

from typing import Annotated

import strawberry

from graphql_api.buckets.inputs import CreateBucketInput, CreateObjectsInput, DeleteBucketInput
from graphql_api.buckets.types import (
    CreateBucketPayload,
    CreateObjectResult,
    CreateObjectsPayload,
    DeleteBucketPayload,
    show_bucket,
    show_object,
)
from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.idempotency import once_only
from graphql_api.tasks.types import show_task
from models.bucket import Bucket as BucketModel
from models.errors import StrataError
from models.object import Object as ObjectModel
from workers.deletions import delete_bucket
from workers.intake import open_bucket, register_objects


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
                    claim=claim,
                ),
                lambda made: scope.require(BucketModel, made["bucket_id"]),
            )
        except StrataError as error:
            return CreateBucketPayload(bucket=None, user_errors=[user_error(error)])
        return CreateBucketPayload(
            bucket=show_bucket(done.value), user_errors=[], replayed=done.replayed
        )

    @strawberry.mutation(description="Register objects; a bad row leaves its neighbours alone.")
    async def create_objects(
        self,
        info: Info,
        input: Annotated[CreateObjectsInput, strawberry.argument(description="The objects.")],
    ) -> CreateObjectsPayload | None:
        """Register objects."""
        scope = info.context.scope
        drafts = [item.draft() for item in input.objects]
        try:
            answers = await register_objects(info.context.stores, scope, input.bucket_id, drafts)
        except StrataError as error:
            return CreateObjectsPayload(
                results=[], created_count=0, failed_count=0, user_errors=[user_error(error)]
            )
        results = [_result(index, answer) for index, answer in enumerate(answers)]
        created = sum(result.object is not None for result in results)
        return CreateObjectsPayload(
            results=results,
            created_count=created,
            failed_count=len(results) - created,
            user_errors=[],
        )

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


def _result(index: int, answer: ObjectModel | StrataError) -> CreateObjectResult:
    if isinstance(answer, StrataError):
        return CreateObjectResult(index=index, object=None, errors=[user_error(answer)])
    return CreateObjectResult(index=index, object=show_object(answer), errors=[])
