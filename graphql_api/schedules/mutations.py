"""Mutations of schedules."""

from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.idempotency import once_only
from graphql_api.schedules.inputs import (
    CreateScheduleInput,
    DeleteScheduleInput,
    PauseScheduleInput,
    ResumeScheduleInput,
    TriggerScheduleInput,
    UpdateScheduleInput,
)
from graphql_api.schedules.types import (
    CreateSchedulePayload,
    DeleteSchedulePayload,
    PauseSchedulePayload,
    ResumeSchedulePayload,
    TriggerSchedulePayload,
    UpdateSchedulePayload,
    show_run,
    show_schedule,
)
from models.errors import StrataError
from models.schedule import Schedule, ScheduleRun
from workers.schedules import (
    delete_schedule,
    open_schedule,
    pause_schedule,
    resume_schedule,
    trigger_schedule,
    update_schedule,
)


@strawberry.type
class ScheduleMutation:
    """What can be done to schedules."""

    @strawberry.mutation(description="Create a schedule; its first run is at its next time.")
    async def create_schedule(
        self,
        info: Info,
        input: Annotated[CreateScheduleInput, strawberry.argument(description="The schedule.")],
    ) -> CreateSchedulePayload | None:
        """Create a schedule."""
        stores, scope = info.context.stores, info.context.scope
        try:
            done = await once_only(
                info,
                input,
                lambda claim: open_schedule(stores, scope, input.draft(), claim=claim),
                lambda made: scope.require(Schedule, made["schedule_id"]),
            )
        except StrataError as error:
            return CreateSchedulePayload(schedule=None, user_errors=[user_error(error)])
        return CreateSchedulePayload(
            schedule=show_schedule(done.value), user_errors=[], replayed=done.replayed
        )

    @strawberry.mutation(description="Change some of a schedule.")
    async def update_schedule(
        self,
        info: Info,
        input: Annotated[UpdateScheduleInput, strawberry.argument(description="What.")],
    ) -> UpdateSchedulePayload | None:
        """Change a schedule."""
        stores, scope = info.context.stores, info.context.scope
        try:
            changed = await update_schedule(stores, scope, input.schedule_id, input.changes())
        except StrataError as error:
            return UpdateSchedulePayload(schedule=None, user_errors=[user_error(error)])
        return UpdateSchedulePayload(schedule=show_schedule(changed), user_errors=[])

    @strawberry.mutation(description="Make no further runs; one that has begun goes on.")
    async def pause_schedule(
        self,
        info: Info,
        input: Annotated[PauseScheduleInput, strawberry.argument(description="Which.")],
    ) -> PauseSchedulePayload | None:
        """Pause a schedule."""
        try:
            paused = await pause_schedule(
                info.context.stores, info.context.scope, input.schedule_id
            )
        except StrataError as error:
            return PauseSchedulePayload(schedule=None, user_errors=[user_error(error)])
        return PauseSchedulePayload(schedule=show_schedule(paused), user_errors=[])

    @strawberry.mutation(description="Make runs again, from the next time on.")
    async def resume_schedule(
        self,
        info: Info,
        input: Annotated[ResumeScheduleInput, strawberry.argument(description="Which.")],
    ) -> ResumeSchedulePayload | None:
        """Resume a schedule."""
        try:
            resumed = await resume_schedule(
                info.context.stores, info.context.scope, input.schedule_id
            )
        except StrataError as error:
            return ResumeSchedulePayload(schedule=None, user_errors=[user_error(error)])
        return ResumeSchedulePayload(schedule=show_schedule(resumed), user_errors=[])

    @strawberry.mutation(description="Make a run now, also of a paused schedule.")
    async def trigger_schedule(
        self,
        info: Info,
        input: Annotated[TriggerScheduleInput, strawberry.argument(description="Which.")],
    ) -> TriggerSchedulePayload | None:
        """Trigger a schedule."""
        stores, scope = info.context.stores, info.context.scope
        try:
            done = await once_only(
                info,
                input,
                lambda claim: trigger_schedule(stores, scope, input.schedule_id, claim=claim),
                lambda made: scope.require(ScheduleRun, made["run_id"]),
            )
        except StrataError as error:
            return TriggerSchedulePayload(run=None, user_errors=[user_error(error)])
        return TriggerSchedulePayload(
            run=show_run(done.value), user_errors=[], replayed=done.replayed
        )

    @strawberry.mutation(description="Forget a schedule and its history; its batches stay.")
    async def delete_schedule(
        self,
        info: Info,
        input: Annotated[DeleteScheduleInput, strawberry.argument(description="Which.")],
    ) -> DeleteSchedulePayload | None:
        """Delete a schedule."""
        try:
            await delete_schedule(info.context.stores, info.context.scope, input.schedule_id)
        except StrataError as error:
            return DeleteSchedulePayload(deleted_schedule_id=None, user_errors=[user_error(error)])
        return DeleteSchedulePayload(deleted_schedule_id=input.schedule_id, user_errors=[])
