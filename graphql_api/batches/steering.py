"""Mutations of batches that were submitted and have not ended."""

import asyncio
from typing import Annotated

import strawberry

from graphql_api.batches.inputs import PauseBatchInput, ResumeBatchInput
from graphql_api.batches.payloads import PauseBatchPayload, ResumeBatchPayload
from graphql_api.batches.types import show_batch
from graphql_api.context import Info
from graphql_api.errors import user_error
from models.errors import StrataError
from workers.doorbell import ring
from workers.steering import pause_batch, resume_batch


@strawberry.type
class SteeringMutation:
    """What can be done to batches on their way."""

    @strawberry.mutation(
        description="Let no further unit of work of a batch begin; those under way end and are "
        "committed. Again, it changes nothing."
    )
    async def pause_batch(
        self,
        info: Info,
        input: Annotated[PauseBatchInput, strawberry.argument(description="Which.")],
    ) -> PauseBatchPayload | None:
        """Pause a batch."""
        try:
            batch = await pause_batch(info.context.stores, info.context.scope, input.batch_id)
        except StrataError as error:
            return PauseBatchPayload(batch=None, user_errors=[user_error(error)])
        return PauseBatchPayload(batch=show_batch(batch), user_errors=[])

    @strawberry.mutation(
        description="Let a paused batch go on where it was. Again, it changes nothing."
    )
    async def resume_batch(
        self,
        info: Info,
        input: Annotated[ResumeBatchInput, strawberry.argument(description="Which.")],
    ) -> ResumeBatchPayload | None:
        """Resume a batch and ring for a worker."""
        try:
            batch = await resume_batch(info.context.stores, info.context.scope, input.batch_id)
        except StrataError as error:
            return ResumeBatchPayload(batch=None, user_errors=[user_error(error)])
        await asyncio.to_thread(ring, batch.id)
        return ResumeBatchPayload(batch=show_batch(batch), user_errors=[])
