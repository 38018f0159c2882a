"""Inputs of batches."""

import strawberry

from graphql_api.enums import BatchStatus
from graphql_api.idempotency import key_field
from graphql_api.scalars import JSON
from models.batch import Batch


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
    idempotency_key: str | None = key_field()


@strawberry.input(description="A batch to be stopped.")
class CancelBatchInput:
    """Input of cancelBatch."""

    batch_id: strawberry.ID = strawberry.field(description="The batch.")


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
