"""Queries of tasks."""

from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.listing import list_page
from graphql_api.pagination import After, Before, Connection, First, Last
from graphql_api.tasks.inputs import TaskFilter
from graphql_api.tasks.types import Task, read_task, show_task
from models.task import Task as TaskModel


@strawberry.type
class TaskQuery:
    """What there is to read of tasks."""

    @strawberry.field(description="One task, or null.")
    async def task(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Id of the task.")],
    ) -> Task | None:
        """Return a task."""
        return await read_task(info, id)

    @strawberry.field(description="The namespace's tasks, newest first.")
    async def tasks(
        self,
        info: Info,
        filter: Annotated[
            TaskFilter | None, strawberry.argument(description="Which tasks.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Task] | None:
        """List tasks."""
        chosen = filter or TaskFilter()
        return await list_page(
            info.context, TaskModel, show_task, kind=chosen.kind(), match=chosen.match(),
            first=first, after=after, last=last, before=before, newest_first=True,
        )  # fmt: skip
