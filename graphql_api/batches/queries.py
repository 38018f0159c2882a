"""Queries of batches."""

from typing import Annotated

import strawberry

from graphql_api.batches.inputs import BatchFilter
from graphql_api.batches.payloads import BatchPlan, PlanBatchPayload, PlannedTier
from graphql_api.batches.types import Batch, show_batch
from graphql_api.collections.types import show_collection
from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.listing import list_page
from graphql_api.pagination import After, Before, Connection, First, Last
from graphql_api.scalars import BigInt
from models.batch import Batch as BatchModel
from models.errors import StrataError
from workers.submissions import Plan, plan_submission


@strawberry.type
class BatchQuery:
    """What there is to read of batches."""

    @strawberry.field(description="One batch, or null.")
    async def batch(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Id of the batch.")],
    ) -> Batch | None:
        """Return a batch."""
        found = await info.context.scope.find(BatchModel, id)
        return None if found is None else show_batch(found)

    @strawberry.field(description="The namespace's batches, newest first.")
    async def batches(
        self,
        info: Info,
        filter: Annotated[
            BatchFilter | None, strawberry.argument(description="Which batches.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Batch] | None:
        """List batches."""
        chosen = filter or BatchFilter()
        return await list_page(
            info.context, BatchModel, show_batch, kind=chosen.kind(), match=chosen.match(),
            first=first, after=after, last=last, before=before, newest_first=True,
        )  # fmt: skip

    @strawberry.field(description="What submitBatch would do, writing nothing.")
    async def plan_batch(
        self,
        info: Info,
        batch_id: Annotated[strawberry.ID, strawberry.argument(description="Id of the draft.")],
    ) -> PlanBatchPayload | None:
        """Plan a batch."""
        try:
            plan = await plan_submission(info.context.stores, info.context.scope, batch_id)
        except StrataError as error:
            return PlanBatchPayload(plan=None, user_errors=[user_error(error)])
        return PlanBatchPayload(plan=_show_plan(plan), user_errors=[])


def _show_plan(plan: Plan) -> BatchPlan:
    funnels = plan.manifest.funnels.values()
    return BatchPlan(
        tiers=[
            PlannedTier(number=number, collections=[show_collection(c) for c in tier])
            for number, tier in enumerate(plan.tiers)
        ],
        rows=BigInt(sum(funnel.rows_in for funnel in funnels)),
        rows_filtered=BigInt(sum(funnel.filtered for funnel in funnels)),
        rows_missing_input=BigInt(sum(funnel.missing for funnel in funnels)),
        blocks=len(plan.blocks),
        estimated_seconds=plan.estimated_seconds,
    )
