"""Mutations of batches that were submitted and have not ended."""

import asyncio
from typing import Annotated

import strawberry

from graphql_api.batches.inputs import PauseBatchInput, ResumeBatchInput, SetBatchPriorityInput
from graphql_api.batches.payloads import (
    PauseBatchPayload,
    ResumeBatchPayload,
    SetBatchPriorityPayload,
)
from graphql_api.batches.types import show_batch
from graphql_api.context import Info
from graphql_api.errors import user_error
from models.errors import StrataError
from workers.doorbell import ring
from workers.steering import pause_batch, resume_batch, set_batch_priority


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

    @strawberry.mutation(
        description="Give a batch another priority. Of a namespace's batches that wait, the one "
        "with the highest is taken first, but a level counts no more than ten minutes of waiting; "
        "of those under way, its units of work begin first. Between namespaces it buys nothing."
    )
    async def set_batch_priority(
        self,
        info: Info,
        input: Annotated[SetBatchPriorityInput, strawberry.argument(description="Which.")],
    ) -> SetBatchPriorityPayload | None:
        """Set the priority of a batch."""
        stores, scope = info.context.stores, info.context.scope
        try:
            batch = await set_batch_priority(stores, scope, input.batch_id, input.priority)
        except StrataError as error:
            return SetBatchPriorityPayload(batch=None, user_errors=[user_error(error)])
        return SetBatchPriorityPayload(batch=show_batch(batch), user_errors=[])
