"""Subscriptions of tasks."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.tasks.following import follow_task
from graphql_api.tasks.types import Task, show_task


@strawberry.type
class TaskSubscription:
    """What can be followed of tasks."""

    @strawberry.subscription(
        description="Follow one task: as it is now, then after each change, coalesced to four a "
        "second; completes with its end. A frame says everything: to resume, subscribe again."
    )
    async def task_updated(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Id of the task.")],
    ) -> AsyncGenerator[Task, None]:
        """Follow a task."""
        async with aclosing(follow_task(info.context, id)) as tasks:
            async for task in tasks:
                yield show_task(task)
