"""Batch, as the API shows it; its parts are in the files beside."""

from typing import Annotated

import strawberry

from graphql_api.batches.health import BatchHealth, show_health
from graphql_api.batches.members import list_members
from graphql_api.batches.progress import Counts, Progress, Reason, show_counts, show_progress
from graphql_api.batches.row_errors import RowError, show_row_error
from graphql_api.batches.tiers import Tier, show_tiers
from graphql_api.buckets.types import Bucket, Object, show_bucket, show_object
from graphql_api.context import Info
from graphql_api.enums import BatchStatus
from graphql_api.listing import list_page
from graphql_api.node import Node
from graphql_api.pagination import After, Before, Connection, First, Last
from graphql_api.scalars import JSON, BigInt, DateTime, show_time
from graphql_api.tasks.types import Task, show_task
from models.batch import Batch as BatchModel
from models.events import Event as EventModel
from models.row_error import RowError as RowErrorModel
from models.states import HOLDABLE, Hold
from workers.diagnosis.judging import judge, open_case
from workers.outlook.estimates import Estimate


@strawberry.type(description="One Parquet file of the batch's manifest.")
class Artifact:
    """An artifact as shown."""

    extractor: str = strawberry.field(description="The extractor that reads it.")
    key: str = strawberry.field(description="Its key on S3.")
    rows: BigInt = strawberry.field(description="Rows in it.")
    bytes: BigInt = strawberry.field(description="Its size.")
    sha256: str = strawberry.field(description="Of its bytes, in hex.")


@strawberry.type(description="One change of the batch's status.")
class Transition:
    """A transition as shown."""

    status: BatchStatus = strawberry.field(description="The status entered.")
    at: DateTime = strawberry.field(description="When.")
    sequence: BigInt = strawberry.field(description="Number of the event in the batch's log.")


@strawberry.type(description="Objects submitted together and followed to an end.")
class Batch(Node):
    """A batch as shown."""

    model: strawberry.Private[BatchModel]
    name: str = strawberry.field(description="The client's own name; may be empty.")
    bucket_id: strawberry.ID = strawberry.field(description="The bucket of its objects.")
    metadata: JSON = strawberry.field(description="The client's own fields.")
    status: BatchStatus = strawberry.field(description="Where it is.")
    sequence: BigInt = strawberry.field(description="Number of its latest event.")
    error_message: str | None = strawberry.field(description="Why it did not end COMPLETED.")
    retries: int = strawberry.field(description="How often it was opened again after its end.")
    priority: int = strawberry.field(description="-10 to 10; higher goes first.")
    include_processing_history: bool = strawberry.field(
        description="Whether its documents record each enrichment."
    )
    task_id: strawberry.ID | None = strawberry.field(description="Task of its submit.")
    created_at: DateTime = strawberry.field(description="When it was created.")
    updated_at: DateTime = strawberry.field(description="When it last changed.")
    deadline_at: DateTime | None = strawberry.field(
        description="When it ends with DEADLINE_EXCEEDED unless it has ended; null when never."
    )
    submitted_at: DateTime | None = strawberry.field(description="When it was queued.")
    started_at: DateTime | None = strawberry.field(description="When it was first taken.")
    finished_at: DateTime | None = strawberry.field(description="When it ended.")

    @strawberry.field(description="Why it waits, or by which rule it was ended; else null.")
    def reason(self) -> Reason | None:
        """Show the reason."""
        found = self.model.reason
        if found is None:
            return None
        return Reason(code=found.code, message=found.message, since=DateTime(found.since))

    @strawberry.field(
        description="Its place, from 1, among the namespace's batches that wait to be taken; null "
        "when it does not wait, or is paused."
    )
    async def queue_position(self, info: Info) -> int | None:
        """Load the place."""
        if self.model.status is not BatchStatus.QUEUED or self.model.hold is not None:
            return None
        return await info.context.loaders.queue_position_by_batch_id.load(self.id)

    @strawberry.field(
        description="When it is likely to be taken, if it waits in the queue; or, if all that is "
        "left of it waits for another attempt, when that is due. Else null, and null while nobody "
        "takes batches up, or its turn depends on a batch whose end is not known, or more than "
        "200 batches are before it."
    )
    async def estimated_start_at(self, info: Info) -> DateTime | None:
        """Estimate the start."""
        found = await self._estimate(info)
        return show_time(found.start_at)

    @strawberry.field(
        description="When it is likely to end, at the pace of its own blocks, of its collections "
        "lately, or of their extractors in the namespace within seven days; it may be later than "
        "`deadlineAt`. Null for a draft, one that is paused, canceling or ended, while nobody "
        "works on it, and while an extractor that it needs has not been seen at work."
    )
    async def estimated_finish_at(self, info: Info) -> DateTime | None:
        """Estimate the end."""
        found = await self._estimate(info)
        return show_time(found.finish_at)

    async def _estimate(self, info: Info) -> Estimate:
        if self.model.status not in HOLDABLE or self.model.hold is Hold.PAUSED:
            return Estimate()
        return await info.context.loaders.estimate_by_batch_id.load(self.id)

    @strawberry.field(description="Since when it is paused; null when it is not.")
    def paused_at(self) -> DateTime | None:
        """Show the pause."""
        found = self.model
        if found.hold is not Hold.PAUSED or found.reason is None:
            return None
        return DateTime(found.reason.since)

    @strawberry.field(description="Rows and documents.")
    def counts(self) -> Counts:
        """Show the counts."""
        return show_counts(self.model.counts)

    @strawberry.field(description="How far it is.")
    def progress(self) -> Progress:
        """Show the progress."""
        return show_progress(self.model)

    @strawberry.field(description="How it is doing; diagnoseBatch says why and what to do.")
    async def health(self, info: Info) -> BatchHealth:
        """Judge the batch by its blocks."""
        loaders, settings = info.context.loaders, info.context.stores.settings
        submission = (self.id, self.model.submission or "")
        groups = await loaders.block_groups_by_submission.load(submission)
        count = loaders.blocks_in_work_by_namespace_id.load
        read = loaders.congestion_by_namespace_id.load
        return show_health(judge(await open_case(self.model, groups, settings, count, read)))

    @strawberry.field(description="Its manifest: one entry for each Parquet file.")
    def artifacts(self) -> list[Artifact]:
        """Show the artifacts."""
        return [
            Artifact(
                extractor=one.extractor,
                key=one.key,
                rows=BigInt(one.rows),
                bytes=BigInt(one.bytes),
                sha256=one.sha256,
            )
            for one in self.model.artifacts
        ]

    @strawberry.field(description="Its collections in the order of dependence, with their counts.")
    async def tiers(self, info: Info) -> list[Tier]:
        """Show the tiers."""
        submission = (self.id, self.model.submission or "")
        sums = await info.context.loaders.block_sums_by_submission.load(submission)
        return show_tiers(self.model, sums)

    @strawberry.field(description="Each change of its status.")
    async def transitions(self, info: Info) -> list[Transition]:
        """Show the transitions."""
        events = await info.context.loaders.transitions_by_batch_id.load(self.id)
        return [_show_transition(event) for event in events]

    @strawberry.field(description="Its bucket; null when it was deleted.")
    async def bucket(self, info: Info) -> Bucket | None:
        """Load the bucket."""
        found = await info.context.loaders.bucket_by_id.load(self.bucket_id)
        return None if found is None else show_bucket(found)

    @strawberry.field(description="Task of its submit; null for a draft.")
    async def task(self, info: Info) -> Task | None:
        """Load the task."""
        if not self.task_id:
            return None
        found = await info.context.loaders.task_by_id.load(self.task_id)
        return None if found is None else show_task(found)

    @strawberry.field(description="Rows that failed and why, oldest first.")
    async def row_errors(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[RowError] | None:
        """List the row errors."""
        return await list_page(
            info.context, RowErrorModel, show_row_error, kind=f"errors:{self.id}",
            match={"batch_id": self.id}, first=first, after=after, last=last, before=before,
        )  # fmt: skip

    @strawberry.field(description="Its objects, a page of at most 100 in the order of their ids.")
    async def objects(
        self,
        info: Info,
        first: Annotated[int, strawberry.argument(description="1 to 100.")] = 20,
        after: After = None,
    ) -> Connection[Object] | None:
        """List the members."""
        return await list_members(info.context, self.id, show_object, first=first, after=after)


def show_batch(model: BatchModel) -> Batch:
    """Return a batch as shown."""
    return Batch(
        model=model,
        id=strawberry.ID(model.id),
        name=model.name,
        bucket_id=strawberry.ID(model.bucket_id),
        metadata=JSON(model.metadata),
        status=model.status,
        sequence=BigInt(model.sequence),
        error_message=model.error_message,
        retries=model.retries,
        priority=model.priority,
        include_processing_history=model.include_processing_history,
        task_id=None if model.task_id is None else strawberry.ID(model.task_id),
        created_at=DateTime(model.created_at),
        updated_at=DateTime(model.updated_at),
        deadline_at=show_time(model.deadline_at),
        submitted_at=show_time(model.submitted_at),
        started_at=show_time(model.started_at),
        finished_at=show_time(model.finished_at),
    )


def _show_transition(event: EventModel) -> Transition:
    return Transition(status=event.status, at=DateTime(event.at), sequence=BigInt(event.sequence))
