"""Inputs of batches."""

import strawberry

from graphql_api.enums import BatchStatus, CancelMode, RetryMode
from graphql_api.idempotency import key_field
from graphql_api.scalars import JSON
from models.batch import Batch
from workers.reopening import RetryChoice


@strawberry.input(description="A batch to be created.")
class CreateBatchInput:
    """Input of createBatch."""

    bucket_id: strawberry.ID = strawberry.field(description="The bucket of its objects.")
    name: str | None = strawberry.field(default=None, description="The client's own name.")
    metadata: JSON | None = strawberry.field(default=None, description="A JSON object.")
    object_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Objects to begin with, at most 1,000."
    )
    idempotency_key: str | None = key_field()


@strawberry.input(description="Objects for a draft.")
class AddObjectsToBatchInput:
    """Input of addObjectsToBatch."""

    batch_id: strawberry.ID = strawberry.field(description="The draft.")
    object_ids: list[strawberry.ID] = strawberry.field(
        description="At most 1,000; those in it already change nothing."
    )
    idempotency_key: str | None = key_field()


@strawberry.input(description="A draft to be run.")
class SubmitBatchInput:
    """Input of submitBatch."""

    batch_id: strawberry.ID = strawberry.field(description="The draft.")
    include_processing_history: bool = strawberry.field(
        default=False, description="Whether documents record each enrichment."
    )
    reuse: bool = strawberry.field(
        default=True,
        description="Whether a row is spared that yielded its documents before, from the same "
        "inputs by the same extractor and parameters.",
    )
    priority: int = strawberry.field(
        default=0, description="-10 to 10; higher goes first, see setBatchPriority."
    )
    deadline_seconds: float | None = strawberry.field(
        default=None,
        description="How long it may take from now, waiting and pauses included; then it ends "
        "FAILED with DEADLINE_EXCEEDED. As long as the server allows when absent.",
    )
    idempotency_key: str | None = key_field()


@strawberry.input(description="A batch to be stopped.")
class CancelBatchInput:
    """Input of cancelBatch."""

    batch_id: strawberry.ID = strawberry.field(description="The batch.")
    mode: CancelMode = strawberry.field(
        default=CancelMode.FORCE, description="What becomes of what is under way."
    )


@strawberry.input(description="A batch to be paused.")
class PauseBatchInput:
    """Input of pauseBatch."""

    batch_id: strawberry.ID = strawberry.field(description="The batch.")


@strawberry.input(description="A batch to go on.")
class ResumeBatchInput:
    """Input of resumeBatch."""

    batch_id: strawberry.ID = strawberry.field(description="The batch.")


@strawberry.input(description="A batch that is to go earlier or later.")
class SetBatchPriorityInput:
    """Input of setBatchPriority."""

    batch_id: strawberry.ID = strawberry.field(description="The batch.")
    priority: int = strawberry.field(description="-10 to 10; higher goes first.")


@strawberry.input(description="An ended batch to be tried again, or a part of it.")
class RetryBatchInput:
    """Input of retryBatch."""

    batch_id: strawberry.ID = strawberry.field(description="The batch.")
    mode: RetryMode = strawberry.field(
        default=RetryMode.TRANSIENT_ONLY,
        description="Which failures; what was canceled is run in either mode.",
    )
    tiers: list[int] | None = strawberry.field(
        default=None, description="In these tiers, and what follows from them; all when absent."
    )
    collection_ids: list[strawberry.ID] | None = strawberry.field(
        default=None,
        description="In these collections, and what follows from them; all when absent.",
    )
    object_ids: list[strawberry.ID] | None = strawberry.field(
        default=None,
        description="Rows of these objects that failed alone, at most 1,000; all when absent.",
    )
    max_attempts: int | None = strawberry.field(
        default=None, description="What was tried as often already stays failed."
    )
    idempotency_key: str | None = key_field()

    def choice(self) -> RetryChoice:
        """Return the workers' form."""

        def chosen(ids: list[strawberry.ID] | None) -> frozenset[str] | None:
            return None if ids is None else frozenset(ids)

        return RetryChoice(
            mode=RetryMode(self.mode),
            tiers=None if self.tiers is None else frozenset(self.tiers),
            collection_ids=chosen(self.collection_ids),
            object_ids=chosen(self.object_ids),
            max_attempts=self.max_attempts,
        )


@strawberry.input(description="A draft or an ended batch to be forgotten.")
class DeleteBatchInput:
    """Input of deleteBatch."""

    batch_id: strawberry.ID = strawberry.field(description="The batch.")


@strawberry.input(description="Which batches.")
class BatchFilter:
    """Filter of batches."""

    status: list[BatchStatus] | None = strawberry.field(
        default=None, description="Any of these; all when absent."
    )
    bucket_id: strawberry.ID | None = strawberry.field(default=None, description="Of this bucket.")

    def match(self) -> dict[str, object]:
        """Return the store's form."""
        match: dict[str, object] = {}
        if self.status:
            match["status"] = {"$in": [str(status) for status in self.status]}
        if self.bucket_id:
            match["bucket_id"] = self.bucket_id
        return match

    def admits(self, batch: Batch) -> bool:
        """Tell whether a batch matches, as `match` would."""
        return (not self.status or batch.status in self.status) and (
            not self.bucket_id or batch.bucket_id == self.bucket_id
        )

    def kind(self) -> str:
        """Return what tells this list's cursors from another's."""
        return f"batches:{','.join(sorted(self.status or []))}:{self.bucket_id or ''}"
