"""Tasks: what a client watches for one asynchronous request."""

import strawberry

from graphql_api.context import Info
from graphql_api.enums import TaskType
from graphql_api.node import Node
from graphql_api.scalars import BigInt, DateTime
from models.scope import Scope
from models.states import FINAL
from models.task import Task as TaskModel


@strawberry.type(description="How far a task is.")
class TaskProgress:
    """Progress as shown."""

    step: str = strawberry.field(description="The step under way; empty before the first.")
    done: BigInt = strawberry.field(description="Units of that step that are done.")
    total: BigInt | None = strawberry.field(description="Units of that step; null when unknown.")


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
        finished_at=None if model.finished_at is None else DateTime(model.finished_at),
    )


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
