"""Queries of analytics."""

from datetime import UTC
from typing import Annotated

import strawberry

from graphql_api.analytics.types import AnalyticsRow, Dimension, Interval, show_row
from graphql_api.context import Info
from graphql_api.scalars import DateTime
from workers.analytics import Question, answer


@strawberry.input(description="What rows are counted; all of it when nothing is named.")
class AnalyticsFilter:
    """Filter of analytics."""

    bucket_id: strawberry.ID | None = strawberry.field(default=None, description="This bucket.")
    collection_id: strawberry.ID | None = strawberry.field(
        default=None, description="This collection."
    )
    extractor: str | None = strawberry.field(
        default=None, description="This extractor, such as `text@v1`."
    )


@strawberry.type
class AnalyticsQuery:
    """What there is to read of analytics."""

    @strawberry.field(
        description="What happened between two times, from hourly rollups that follow within "
        "seconds; at most 366 days and 1,000 rows."
    )
    async def analytics(
        self,
        info: Info,
        since: Annotated[DateTime, strawberry.argument(description="From this hour on.")],
        until: Annotated[DateTime, strawberry.argument(description="Up to, not including.")],
        interval: Annotated[
            Interval, strawberry.argument(description="How long a time bucket is.")
        ] = Interval.ALL,
        by: Annotated[
            list[Dimension] | None, strawberry.argument(description="What rows are told apart by.")
        ] = None,
        filter: Annotated[
            AnalyticsFilter | None, strawberry.argument(description="What is counted.")
        ] = None,
    ) -> list[AnalyticsRow] | None:
        """Answer from the rollups."""
        given = vars(filter or AnalyticsFilter())
        question = Question(
            since.astimezone(UTC).replace(minute=0, second=0, microsecond=0),
            until.astimezone(UTC),
            Interval(interval),
            frozenset(Dimension(one) for one in by or []),
            {name: value for name, value in given.items() if value is not None},
        )
        return [show_row(row) for row in await answer(info.context.scope, question)]
