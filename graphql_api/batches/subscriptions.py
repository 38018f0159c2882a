"""Subscriptions of batches."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from graphql_api.batches.following import BatchFollower
from graphql_api.batches.frames import BatchFrame, BatchListFrame
from graphql_api.batches.inputs import BatchFilter
from graphql_api.batches.watching import BatchesWatcher
from graphql_api.context import Info

Resume = Annotated[
    str | None,
    strawberry.argument(description="Cursor of the last frame received; none for a snapshot."),
]


@strawberry.type
class BatchSubscription:
    """What can be followed of batches."""

    @strawberry.subscription(
        description="Follow one batch. Without `after`: a snapshot, then changes. With it: "
        "everything past the cursor, then changes. Completes after the terminal event."
    )
    async def batch_events(
        self,
        info: Info,
        batch_id: Annotated[strawberry.ID, strawberry.argument(description="Id of the batch.")],
        after: Resume = None,
    ) -> AsyncGenerator[BatchFrame, None]:
        """Follow a batch."""
        start = info.context.resume_after(after)
        async with aclosing(BatchFollower(info.context, batch_id).frames(start)) as frames:
            async for frame in frames:
                yield frame

    @strawberry.subscription(
        description="Follow the list: the newest 50 that match, then what enters, changes, leaves."
    )
    async def batches_changed(
        self,
        info: Info,
        filter: Annotated[
            BatchFilter | None, strawberry.argument(description="Which batches.")
        ] = None,
        after: Resume = None,
    ) -> AsyncGenerator[BatchListFrame, None]:
        """Follow the list of batches."""
        watcher = BatchesWatcher(info.context, filter or BatchFilter())
        async with aclosing(watcher.frames(info.context.resume_after(after))) as frames:
            async for frame in frames:
                yield frame
