"""Tasks: what a client watches for one asynchronous request."""

import strawberry

from graphql_api.context import Info
from graphql_api.enums import RowOutcome, TaskType
from graphql_api.errors import UserError
from graphql_api.idempotency import replayed_field
from graphql_api.listing import list_page
from graphql_api.node import Node
from graphql_api.pagination import After, Before, Connection, First, Last
from graphql_api.payload import Payload
from graphql_api.scalars import BigInt, DateTime, show_time
from graphql_api.tasks.line_errors import LineError, show_line_error
from models.line_error import LineError as LineErrorModel
from models.scope import Scope
from models.states import FINAL
from models.task import Task as TaskModel


@strawberry.type(description="How far a task is.")
class TaskProgress:
    """Progress as shown."""

    step: str = strawberry.field(description="The step under way; empty before the first.")
    done: BigInt = strawberry.field(description="Units of that step that are done.")
    total: BigInt | None = strawberry.field(description="Units of that step; null when unknown.")


@strawberry.type(description="What became of the lines of an import, so far; blank ones not among.")
class ImportCounts:
    """Counts as shown."""

    lines: BigInt = strawberry.field(description="All of them: the sum of the others.")
    created: BigInt = strawberry.field(description="Lines that became objects.")
    updated: BigInt = strawberry.field(description="Lines that changed objects.")
    unchanged: BigInt = strawberry.field(description="Lines whose objects were like this.")
    rejected: BigInt = strawberry.field(description="Lines that were not taken.")


@strawberry.type(description="What a client watches for one asynchronous request.")
class Task(Node):
    """A task as shown."""

    type: TaskType = strawberry.field(description="What was asked for.")
    status: str = strawberry.field(
        description="In the words of a batch, whose status it is if it stands for one."
    )
    error_message: str | None = strawberry.field(
        description="Why it failed, or why its last attempt stopped."
    )
    batch_id: strawberry.ID | None = strawberry.field(
        description="The batch that it stands for; null when it stands for itself."
    )
    subject_id: strawberry.ID | None = strawberry.field(
        description="The bucket or collection that it works on; null for a batch."
    )
    sequence: BigInt = strawberry.field(description="Grows with each change.")
    progress: TaskProgress = strawberry.field(description="How far it is; see its batch instead.")
    created_at: DateTime = strawberry.field(description="When it was asked for.")
    updated_at: DateTime = strawberry.field(description="When it last changed.")
    finished_at: DateTime | None = strawberry.field(description="When it ended.")
    import_counts: ImportCounts | None = strawberry.field(
        description="What became of the lines of an import; with REJECT_ALL, while they are only "
        "looked at, what would. Null for any other task."
    )

    @strawberry.field(
        description="What was wrong with lines of an import, in the order of the lines: the first "
        "10,000, for 30 days."
    )
    async def line_errors(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[LineError] | None:
        """List the line errors."""
        return await list_page(
            info.context, LineErrorModel, show_line_error, kind=f"lines:{self.id}",
            match={"task_id": self.id}, first=first, after=after, last=last, before=before,
        )  # fmt: skip


def show_task(model: TaskModel) -> Task:
    """Return a task as shown."""
    return Task(
        id=strawberry.ID(model.id),
        type=model.type,
        status=model.status,
        error_message=model.error_message,
        batch_id=_id(model.batch_id),
        subject_id=_id(model.subject_id),
        sequence=BigInt(model.sequence),
        progress=TaskProgress(
            step=model.progress.step,
            done=BigInt(model.progress.done),
            total=None if model.progress.total is None else BigInt(model.progress.total),
        ),
        created_at=DateTime(model.created_at),
        updated_at=DateTime(model.updated_at),
        finished_at=show_time(model.finished_at),
        import_counts=_show_counts(model),
    )


def _show_counts(model: TaskModel) -> ImportCounts | None:
    if model.type is not TaskType.OBJECTS_IMPORT:
        return None
    created, updated, unchanged, rejected = (
        BigInt(model.counts.get(outcome.lower(), 0))
        for outcome in (
            RowOutcome.CREATED, RowOutcome.UPDATED, RowOutcome.UNCHANGED, RowOutcome.REJECTED,
        )
    )  # fmt: skip
    return ImportCounts(
        lines=BigInt(sum(model.counts.values())),
        created=created,
        updated=updated,
        unchanged=unchanged,
        rejected=rejected,
    )


@strawberry.type(description="Answer to importObjects.")
class ImportObjectsPayload(Payload):
    """What came of it."""

    task: Task | None = strawberry.field(description="What to watch, and where the errors are.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was begun.")
    replayed: bool = replayed_field()


@strawberry.type(description="Answer to cancelTask.")
class CancelTaskPayload(Payload):
    """What came of it."""

    task: Task | None = strawberry.field(
        description="The task as it is now; one that had ended is as it was."
    )
    user_errors: list[UserError] = strawberry.field(description="Why it was not canceled.")


def _id(value: str | None) -> strawberry.ID | None:
    return None if value is None else strawberry.ID(value)


async def read_task(info: Info, task_id: str) -> Task | None:
    """Return a task: from its mirror while Redis has it, else from MongoDB."""
    scope: Scope = info.context.scope
    mirrored = await info.context.stores.bus.read_task(task_id)
    task = None if mirrored is None else _ended_task(mirrored)
    if task is not None:
        return show_task(task) if task.namespace_id == scope.namespace_id else None
    found = await scope.find(TaskModel, task_id)
    return None if found is None else show_task(found)


def _ended_task(mirrored: str) -> TaskModel | None:
    """Return a mirrored task that changes no more; a live one may be behind, if Redis was away."""
    try:
        task = TaskModel.model_validate_json(mirrored)
    except ValueError:
        return None
    return task if task.status in FINAL else None
