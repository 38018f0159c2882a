"""Types of schedules and their runs."""

from typing import Annotated

import strawberry

from graphql_api.batches.types import Batch, show_batch
from graphql_api.buckets.types import Bucket, show_bucket
from graphql_api.context import Info
from graphql_api.enums import CatchUp, Overlap, RunStatus, Selection
from graphql_api.errors import UserError
from graphql_api.idempotency import replayed_field
from graphql_api.listing import list_page
from graphql_api.node import Node
from graphql_api.pagination import After, Before, Connection, First, Last
from graphql_api.payload import Payload
from graphql_api.scalars import DateTime, show_time
from models.errors import InvalidInput
from models.schedule import NEVER
from models.schedule import Schedule as ScheduleModel
from models.schedule import ScheduleRun as ScheduleRunModel
from models.stored import now
from workers.timetable import next_times

_MAX_TIMES = 50


@strawberry.type(description="One time at which a schedule was due.")
class ScheduleRun:
    """A run as shown."""

    id: strawberry.ID = strawberry.field(description="Of the run.")
    due_at: DateTime = strawberry.field(description="The time that it is for.")
    manual: bool = strawberry.field(description="Whether triggerSchedule made it.")
    status: RunStatus = strawberry.field(description="How far it is.")
    message: str | None = strawberry.field(description="Why it waits, was left out or failed.")
    object_count: int = strawberry.field(description="Objects that it took.")
    finished_at: DateTime | None = strawberry.field(description="When it ended.")
    batch_id: strawberry.Private[str]

    @strawberry.field(description="Its batch, once it has one.")
    async def batch(self, info: Info) -> Batch | None:
        """Load the batch."""
        found = await info.context.loaders.batch_by_id.load(self.batch_id)
        return None if found is None else show_batch(found)


def show_run(model: ScheduleRunModel) -> ScheduleRun:
    """Return a run as shown."""
    return ScheduleRun(
        id=strawberry.ID(model.id),
        due_at=DateTime(model.due_at),
        manual=model.manual,
        status=model.status,
        message=model.message,
        object_count=model.objects,
        finished_at=show_time(model.finished_at),
        batch_id=model.batch_id,
    )


@strawberry.type(description="Submits batches of a bucket's objects at set times.")
class Schedule(Node):
    """A schedule as shown."""

    model: strawberry.Private[ScheduleModel]
    name: str = strawberry.field(description="Unique in the namespace.")
    bucket_id: strawberry.ID = strawberry.field(description="The bucket of its objects.")
    cron: str | None = strawberry.field(description="Minute, hour, day, month, weekday.")
    every_seconds: int | None = strawberry.field(description="Seconds between two runs.")
    time_zone: str = strawberry.field(description="IANA name in which cron is read.")
    selection: Selection = strawberry.field(description="Which objects a run takes.")
    overlap: Overlap = strawberry.field(description="What if an earlier batch has not ended.")
    catch_up: CatchUp = strawberry.field(description="What of runs that no worker made.")
    include_processing_history: bool = strawberry.field(
        description="Whether its documents record each enrichment."
    )
    priority: int = strawberry.field(description="Of its batches: -10 to 10; higher goes first.")
    paused: bool = strawberry.field(description="Whether it makes no runs at present.")
    next_run_at: DateTime | None = strawberry.field(description="Null while it is paused.")
    created_at: DateTime = strawberry.field(description="When it was created.")
    updated_at: DateTime = strawberry.field(description="When a client last changed it.")

    @strawberry.field(description="The next times at which it is due, were it not paused.")
    def next_runs(
        self,
        count: Annotated[int, strawberry.argument(description="How many; 1 to 50.")] = 5,
    ) -> list[DateTime]:
        """Compute the times."""
        if not 1 <= count <= _MAX_TIMES:
            raise InvalidInput(f"`count` must be 1 to {_MAX_TIMES}.", path=("count",))
        return [DateTime(time) for time in next_times(self.model, now(), count)]

    @strawberry.field(description="The bucket, unless it was deleted.")
    async def bucket(self, info: Info) -> Bucket | None:
        """Load the bucket."""
        found = await info.context.loaders.bucket_by_id.load(self.bucket_id)
        return None if found is None else show_bucket(found)

    @strawberry.field(description="The batch of its last run, if there was one.")
    async def last_batch(self, info: Info) -> Batch | None:
        """Load the batch."""
        if self.model.last_batch_id is None:
            return None
        found = await info.context.loaders.batch_by_id.load(self.model.last_batch_id)
        return None if found is None else show_batch(found)

    @strawberry.field(description="Its runs, newest first.")
    async def runs(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ScheduleRun] | None:
        """List the runs."""
        return await list_page(
            info.context, ScheduleRunModel, show_run, kind=f"schedule_runs:{self.id}",
            match={"schedule_id": str(self.id)}, first=first, after=after, last=last,
            before=before, newest_first=True,
        )  # fmt: skip


def show_schedule(model: ScheduleModel) -> Schedule:
    """Return a schedule as shown."""
    return Schedule(
        model=model,
        id=strawberry.ID(model.id),
        name=model.name,
        bucket_id=strawberry.ID(model.bucket_id),
        cron=model.cron,
        every_seconds=model.every_seconds,
        time_zone=model.time_zone,
        selection=model.selection,
        overlap=model.overlap,
        catch_up=model.catch_up,
        include_processing_history=model.include_processing_history,
        priority=model.priority,
        paused=model.paused,
        next_run_at=None if model.next_at >= NEVER else DateTime(model.next_at),
        created_at=DateTime(model.created_at),
        updated_at=DateTime(model.updated_at),
    )


@strawberry.type(description="Answer to createSchedule.")
class CreateSchedulePayload(Payload):
    """Payload of createSchedule."""

    schedule: Schedule | None = strawberry.field(description="The new schedule.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was created.")
    replayed: bool = replayed_field()


@strawberry.type(description="Answer to updateSchedule.")
class UpdateSchedulePayload(Payload):
    """Payload of updateSchedule."""

    schedule: Schedule | None = strawberry.field(description="As it is now.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was changed.")


@strawberry.type(description="Answer to pauseSchedule.")
class PauseSchedulePayload(Payload):
    """Payload of pauseSchedule."""

    schedule: Schedule | None = strawberry.field(description="As it is now.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was changed.")


@strawberry.type(description="Answer to resumeSchedule.")
class ResumeSchedulePayload(Payload):
    """Payload of resumeSchedule."""

    schedule: Schedule | None = strawberry.field(description="As it is now.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was changed.")


@strawberry.type(description="Answer to triggerSchedule.")
class TriggerSchedulePayload(Payload):
    """Payload of triggerSchedule."""

    run: ScheduleRun | None = strawberry.field(description="The run; it begins within seconds.")
    user_errors: list[UserError] = strawberry.field(description="Why there is none.")
    replayed: bool = replayed_field()


@strawberry.type(description="Answer to deleteSchedule.")
class DeleteSchedulePayload(Payload):
    """Payload of deleteSchedule."""

    deleted_schedule_id: strawberry.ID | None = strawberry.field(description="What is gone.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was deleted.")
