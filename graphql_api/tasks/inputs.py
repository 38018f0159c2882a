"""Inputs of tasks."""

import strawberry

from graphql_api.enums import BatchStatus, TaskType


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
