"""Queries of schedules."""

from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.listing import list_page
from graphql_api.pagination import After, Before, Connection, First, Last
from graphql_api.schedules.types import Schedule, show_schedule
from models.schedule import Schedule as ScheduleModel


@strawberry.type
class ScheduleQuery:
    """What there is to read of schedules."""

    @strawberry.field(description="One schedule, or null.")
    async def schedule(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Id of the schedule.")],
    ) -> Schedule | None:
        """Return a schedule."""
        found = await info.context.scope.find(ScheduleModel, id)
        return None if found is None else show_schedule(found)

    @strawberry.field(description="The namespace's schedules, oldest first.")
    async def schedules(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Schedule] | None:
        """List schedules."""
        return await list_page(
            info.context, ScheduleModel, show_schedule, kind="schedules",
            first=first, after=after, last=last, before=before,
        )  # fmt: skip
