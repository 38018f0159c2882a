"""Mutations of batches."""

import asyncio
from typing import Annotated, Any

import strawberry

from graphql_api.batches.inputs import (
    AddObjectsToBatchInput,
    CancelBatchInput,
    CreateBatchInput,
    DeleteBatchInput,
    RetryBatchInput,
    SubmitBatchInput,
)
from graphql_api.batches.payloads import (
    AddObjectsToBatchPayload,
    CancelBatchPayload,
    CreateBatchPayload,
    DeleteBatchPayload,
    RetryBatchPayload,
    SubmitBatchPayload,
)
from graphql_api.batches.types import show_batch
from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.idempotency import once_only
from graphql_api.scalars import BigInt
from graphql_api.tasks.types import show_task
from models.batch import Batch
from models.errors import InvalidInput, StrataError
from workers.batches import add_objects, cancel_batch, delete_batch, open_batch
from workers.doorbell import ring
from workers.names import require_json
from workers.retries import replay_retry, retry_batch
from workers.submissions import replay_submission, submit_batch


@strawberry.type
class BatchMutation:
    """What can be done to batches."""

    @strawberry.mutation(description="Create a draft.")
    async def create_batch(
        self,
        info: Info,
        input: Annotated[CreateBatchInput, strawberry.argument(description="The batch.")],
    ) -> CreateBatchPayload | None:
        """Create a draft, with objects if some are given."""
        stores, scope = info.context.stores, info.context.scope
        try:
            metadata = _metadata(input.metadata)
            done = await once_only(
                info,
                input,
                lambda claim: open_batch(
                    stores,
                    scope,
                    bucket_id=input.bucket_id,
                    name=input.name or "",
                    metadata=metadata,
                    object_ids=list(input.object_ids or []),
                    claim=claim,
                ),
                lambda made: scope.require(Batch, made["batch_id"]),
            )
        except StrataError as error:
            return CreateBatchPayload(batch=None, user_errors=[user_error(error)])
        return CreateBatchPayload(
            batch=show_batch(done.value), user_errors=[], replayed=done.replayed
        )

    @strawberry.mutation(description="Add objects to a draft.")
    async def add_objects_to_batch(
        self,
        info: Info,
        input: Annotated[AddObjectsToBatchInput, strawberry.argument(description="Which.")],
    ) -> AddObjectsToBatchPayload | None:
        """Add objects."""
        stores, scope = info.context.stores, info.context.scope

        async def recall(made: dict[str, Any]) -> tuple[Batch, int]:
            return await scope.require(Batch, made["batch_id"]), made["added"]

        try:
            done = await once_only(
                info,
                input,
                lambda claim: add_objects(
                    stores, scope, input.batch_id, list(input.object_ids), claim=claim
                ),
                recall,
            )
        except StrataError as error:
            return AddObjectsToBatchPayload(
                batch=None, added_count=0, user_errors=[user_error(error)]
            )
        batch, added = done.value
        return AddObjectsToBatchPayload(
            batch=show_batch(batch), added_count=added, user_errors=[], replayed=done.replayed
        )

    @strawberry.mutation(
        description="Flatten a draft and queue it. Again, it answers as the first time."
    )
    async def submit_batch(
        self,
        info: Info,
        input: Annotated[SubmitBatchInput, strawberry.argument(description="Which.")],
    ) -> SubmitBatchPayload | None:
        """Submit a batch and ring for a worker."""
        stores, scope = info.context.stores, info.context.scope
        try:
            done = await once_only(
                info,
                input,
                lambda claim: submit_batch(
                    stores,
                    scope,
                    input.batch_id,
                    include_processing_history=input.include_processing_history,
                    reuse=input.reuse,
                    priority=input.priority,
                    deadline_seconds=input.deadline_seconds,
                    claim=claim,
                ),
                lambda made: replay_submission(scope, made["batch_id"]),
            )
        except StrataError as error:
            return SubmitBatchPayload(
                batch=None, task=None, replayed=False, user_errors=[user_error(error)]
            )
        answer = done.value
        if not answer.replayed:
            await asyncio.to_thread(ring, answer.batch.id)
        return SubmitBatchPayload(
            batch=show_batch(answer.batch),
            task=show_task(answer.task),
            replayed=answer.replayed,
            user_errors=[],
        )

    @strawberry.mutation(
        description="Stop a queued or running batch. By FORCE nothing is written after the answer; "
        "SAFE lets what is under way end. What was committed stays. An ended batch answers as it "
        "is."
    )
    async def cancel_batch(
        self,
        info: Info,
        input: Annotated[CancelBatchInput, strawberry.argument(description="Which.")],
    ) -> CancelBatchPayload | None:
        """Cancel a batch."""
        try:
            batch = await cancel_batch(
                info.context.stores,
                info.context.scope,
                input.batch_id,
                mode=input.mode,
            )
        except StrataError as error:
            return CancelBatchPayload(batch=None, user_errors=[user_error(error)])
        return CancelBatchPayload(batch=show_batch(batch), user_errors=[])

    @strawberry.mutation(
        description="Queue an ended batch again for what failed in it or was not run. Documents of "
        "its good rows stay untouched."
    )
    async def retry_batch(
        self,
        info: Info,
        input: Annotated[RetryBatchInput, strawberry.argument(description="Which, and what.")],
    ) -> RetryBatchPayload | None:
        """Retry a batch and ring for a worker."""
        stores, scope = info.context.stores, info.context.scope
        try:
            done = await once_only(
                info,
                input,
                lambda claim: retry_batch(
                    stores, scope, input.batch_id, input.choice(), claim=claim
                ),
                lambda made: replay_retry(scope, made),
            )
        except StrataError as error:
            return RetryBatchPayload(
                batch=None,
                blocks_reopened=0,
                rows_reopened=BigInt(0),
                user_errors=[user_error(error)],
            )
        retry = done.value
        if not done.replayed:
            await asyncio.to_thread(ring, retry.batch.id)
        return RetryBatchPayload(
            batch=show_batch(retry.batch),
            blocks_reopened=retry.blocks,
            rows_reopened=BigInt(retry.rows),
            user_errors=[],
            replayed=done.replayed,
        )

    @strawberry.mutation(description="Forget a draft or an ended batch; its documents stay.")
    async def delete_batch(
        self,
        info: Info,
        input: Annotated[DeleteBatchInput, strawberry.argument(description="Which.")],
    ) -> DeleteBatchPayload | None:
        """Delete a batch."""
        try:
            await delete_batch(info.context.stores, info.context.scope, input.batch_id)
        except StrataError as error:
            return DeleteBatchPayload(deleted_batch_id=None, user_errors=[user_error(error)])
        return DeleteBatchPayload(deleted_batch_id=input.batch_id, user_errors=[])


def _metadata(value: Any) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput("Metadata must be a JSON object.", path=("metadata",))
    require_json(value, path=("metadata",))
    return value
