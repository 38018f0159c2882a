"""Answers to the mutations of batches, and to planBatch."""

import strawberry

from graphql_api.batches.types import Batch
from graphql_api.collections.types import Collection
from graphql_api.errors import UserError
from graphql_api.idempotency import replayed_field
from graphql_api.payload import Payload
from graphql_api.scalars import BigInt
from graphql_api.tasks.types import Task


@strawberry.type(description="Answer to createBatch.")
class CreateBatchPayload(Payload):
    """What came of it."""

    batch: Batch | None = strawberry.field(description="The new draft.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was created.")
    replayed: bool = replayed_field()


@strawberry.type(description="Answer to addObjectsToBatch.")
class AddObjectsToBatchPayload(Payload):
    """What came of it."""

    batch: Batch | None = strawberry.field(description="The draft.")
    added_count: int = strawberry.field(description="Objects that were not in it before.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was added.")
    replayed: bool = replayed_field()


@strawberry.type(description="Collections that would run side by side.")
class PlannedTier:
    """A tier of a plan."""

    number: int = strawberry.field(description="From 0.")
    collections: list[Collection] = strawberry.field(description="Its collections.")


@strawberry.type(description="What submitBatch would do.")
class BatchPlan:
    """A plan as shown."""

    tiers: list[PlannedTier] = strawberry.field(description="Collections in order.")
    rows: BigInt = strawberry.field(description="Rows of the first tier.")
    rows_filtered: BigInt = strawberry.field(description="Rows that their filters leave out.")
    rows_missing_input: BigInt = strawberry.field(description="Rows that lack an input.")
    blocks: int = strawberry.field(description="Units of work, over all tiers.")
    estimated_seconds: float | None = strawberry.field(
        description="At the rate of earlier batches; null when there were none."
    )


@strawberry.type(description="Answer to planBatch.")
class PlanBatchPayload:
    """What came of it."""

    plan: BatchPlan | None = strawberry.field(description="The plan.")
    user_errors: list[UserError] = strawberry.field(description="Why it could not be submitted.")


@strawberry.type(description="Answer to submitBatch.")
class SubmitBatchPayload(Payload):
    """What came of it."""

    batch: Batch | None = strawberry.field(description="The batch.")
    task: Task | None = strawberry.field(description="What to watch.")
    replayed: bool = strawberry.field(description="Whether it had been submitted before.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was submitted.")


@strawberry.type(description="Answer to cancelBatch.")
class CancelBatchPayload(Payload):
    """What came of it."""

    batch: Batch | None = strawberry.field(description="The batch as it is now.")
    user_errors: list[UserError] = strawberry.field(description="Why it cannot be canceled.")


@strawberry.type(description="Answer to pauseBatch.")
class PauseBatchPayload(Payload):
    """What came of it."""

    batch: Batch | None = strawberry.field(description="The batch as it is now.")
    user_errors: list[UserError] = strawberry.field(description="Why it cannot be paused.")


@strawberry.type(description="Answer to resumeBatch.")
class ResumeBatchPayload(Payload):
    """What came of it."""

    batch: Batch | None = strawberry.field(description="The batch as it is now.")
    user_errors: list[UserError] = strawberry.field(description="Why it cannot go on.")


@strawberry.type(description="Answer to setBatchPriority.")
class SetBatchPriorityPayload(Payload):
    """What came of it."""

    batch: Batch | None = strawberry.field(description="The batch as it is now.")
    user_errors: list[UserError] = strawberry.field(description="Why its priority stays.")


@strawberry.type(description="Answer to retryBatch.")
class RetryBatchPayload(Payload):
    """What came of it."""

    batch: Batch | None = strawberry.field(description="The batch, queued again.")
    blocks_reopened: int = strawberry.field(description="Units of work that are open again.")
    rows_reopened: BigInt = strawberry.field(description="Failed rows that are tried again.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing is tried again.")
    replayed: bool = replayed_field()


@strawberry.type(description="Answer to deleteBatch.")
class DeleteBatchPayload(Payload):
    """What came of it."""

    deleted_batch_id: strawberry.ID | None = strawberry.field(description="The batch that is gone.")
    user_errors: list[UserError] = strawberry.field(description="Why it was not deleted.")
