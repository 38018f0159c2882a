"""Inputs of tasks."""

import strawberry

from graphql_api.enums import BatchStatus, ErrorPolicy, TaskType, WritePolicy
from graphql_api.idempotency import key_field


@strawberry.input(description="Which tasks.")
class TaskFilter:
    """Filter of tasks."""

    type: list[TaskType] | None = strawberry.field(
        default=None, description="Any of these; all when absent."
    )
    status: list[BatchStatus] | None = strawberry.field(
        default=None, description="Any of these; all when absent."
    )
    subject_id: strawberry.ID | None = strawberry.field(
        default=None, description="Of this bucket or collection."
    )
    batch_id: strawberry.ID | None = strawberry.field(default=None, description="Of this batch.")

    def match(self) -> dict[str, object]:
        """Return the store's form."""
        match: dict[str, object] = {}
        if self.type:
            match["type"] = {"$in": [str(one) for one in self.type]}
        if self.status:
            match["status"] = {"$in": [str(one) for one in self.status]}
        if self.subject_id:
            match["subject_id"] = self.subject_id
        if self.batch_id:
            match["batch_id"] = self.batch_id
        return match

    def kind(self) -> str:
        """Return what tells this list's cursors from another's."""
        types, statuses = (",".join(sorted(one or [])) for one in (self.type, self.status))
        return f"tasks:{types}:{statuses}:{self.subject_id or ''}:{self.batch_id or ''}"


@strawberry.input(description="A file of JSON lines to be imported into a bucket.")
class ImportObjectsInput:
    """Input of importObjects."""

    bucket_id: strawberry.ID = strawberry.field(description="The bucket.")
    upload_id: strawberry.ID = strawberry.field(
        description="A confirmed upload of this bucket, with one object a line in the words of "
        "ObjectInput; packed if its media type is `application/gzip`. It is removed afterwards."
    )
    policy: WritePolicy | None = strawberry.field(
        default=None, description="What a line with a key may be; the bucket's own policy if none."
    )
    error_policy: ErrorPolicy = strawberry.field(
        default=ErrorPolicy.REJECT_FAILED_ROWS,
        description="What a bad line means for the others. REJECT_ALL reads the whole file first; "
        "a line is then bad by itself or by what the bucket holds, not by other lines.",
    )
    idempotency_key: str | None = key_field()


@strawberry.input(description="A task to be canceled.")
class CancelTaskInput:
    """Input of cancelTask."""

    id: strawberry.ID = strawberry.field(description="The task; an import.")
