"""Inputs of schedules."""

from typing import Any

import strawberry
from strawberry.types.unset import UNSET

from graphql_api.enums import CatchUp, Overlap, Selection
from graphql_api.idempotency import key_field
from workers.schedules import ScheduleDraft


@strawberry.input(description="A new schedule: exactly one of `cron` and `everySeconds`.")
class CreateScheduleInput:
    """Input of createSchedule."""

    name: str = strawberry.field(description="Unique in the namespace; 1 to 100 characters.")
    bucket_id: strawberry.ID = strawberry.field(description="The bucket of its objects.")
    cron: str | None = strawberry.field(
        default=None, description="Minute, hour, day, month, weekday, such as `30 6 * * MON-FRI`."
    )
    every_seconds: int | None = strawberry.field(
        default=None, description="Seconds between two runs, counted from now; at least 10."
    )
    time_zone: str = strawberry.field(
        default="UTC", description="IANA name in which cron is read, such as Europe/Berlin."
    )
    selection: Selection = strawberry.field(
        default=Selection.CHANGED, description="Which objects a run takes."
    )
    overlap: Overlap = strawberry.field(
        default=Overlap.SKIP, description="What if an earlier batch has not ended."
    )
    catch_up: CatchUp = strawberry.field(
        default=CatchUp.LATEST, description="What of runs that no worker made."
    )
    include_processing_history: bool = strawberry.field(
        default=False, description="Whether documents record each enrichment."
    )
    priority: int = strawberry.field(
        default=0, description="Of its batches: -10 to 10; higher goes first."
    )
    idempotency_key: str | None = key_field()

    def draft(self) -> ScheduleDraft:
        """Return the workers' form."""
        return ScheduleDraft(
            name=self.name,
            bucket_id=self.bucket_id,
            cron=self.cron,
            every_seconds=self.every_seconds,
            time_zone=self.time_zone,
            selection=self.selection,
            overlap=self.overlap,
            catch_up=self.catch_up,
            include_processing_history=self.include_processing_history,
            priority=self.priority,
        )


@strawberry.input(description="What to change of a schedule; what is left out stays.")
class UpdateScheduleInput:
    """Input of updateSchedule."""

    schedule_id: strawberry.ID = strawberry.field(description="The schedule.")
    name: str | None = strawberry.field(default=UNSET, description="Another name.")
    cron: str | None = strawberry.field(default=UNSET, description="Replaces the interval, too.")
    every_seconds: int | None = strawberry.field(
        default=UNSET, description="Replaces the cron expression, too."
    )
    time_zone: str | None = strawberry.field(default=UNSET, description="IANA name.")
    selection: Selection | None = strawberry.field(
        default=UNSET, description="Which objects a run takes."
    )
    overlap: Overlap | None = strawberry.field(
        default=UNSET, description="What if an earlier batch has not ended."
    )
    catch_up: CatchUp | None = strawberry.field(
        default=UNSET, description="What of runs that no worker made."
    )
    include_processing_history: bool | None = strawberry.field(
        default=UNSET, description="Whether documents record each enrichment."
    )
    priority: int | None = strawberry.field(
        default=UNSET, description="Of its batches from now on: -10 to 10; higher goes first."
    )

    def changes(self) -> dict[str, Any]:
        """Return what was given; null changes nothing, as nothing here can be taken away."""
        given = {name: value for name, value in vars(self).items() if name != "schedule_id"}
        return {name: value for name, value in given.items() if value not in (UNSET, None)}


@strawberry.input(description="A schedule that is to make no runs for a while.")
class PauseScheduleInput:
    """Input of pauseSchedule."""

    schedule_id: strawberry.ID = strawberry.field(description="The schedule.")


@strawberry.input(description="A paused schedule that is to make runs again.")
class ResumeScheduleInput:
    """Input of resumeSchedule."""

    schedule_id: strawberry.ID = strawberry.field(description="The schedule.")


@strawberry.input(description="A schedule that is to make a run now.")
class TriggerScheduleInput:
    """Input of triggerSchedule."""

    schedule_id: strawberry.ID = strawberry.field(description="The schedule.")
    idempotency_key: str | None = key_field()


@strawberry.input(description="A schedule to be forgotten with its history.")
class DeleteScheduleInput:
    """Input of deleteSchedule."""

    schedule_id: strawberry.ID = strawberry.field(description="The schedule.")
