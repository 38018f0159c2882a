"""Types of analytics."""

import strawberry

from graphql_api.enums import show_enum
from graphql_api.scalars import BigInt, DateTime
from models.rollup import percentile
from workers.analytics import Dimension, Durations, Interval, Row

__all__ = ["Dimension", "Interval"]

show_enum(
    Interval,
    "How long a time bucket of an answer is.",
    {
        Interval.HOUR: "An hour of UTC.",
        Interval.DAY: "A day of UTC.",
        Interval.ALL: "The whole time that was asked for.",
    },
)
show_enum(
    Dimension,
    "What the rows of an answer are told apart by, beside time.",
    {
        Dimension.BUCKET: "The bucket of the batch.",
        Dimension.COLLECTION: "The collection; rows then say nothing of batches.",
        Dimension.EXTRACTOR: "The extractor; rows then say nothing of batches.",
    },
)


@strawberry.type(
    description="Durations in seconds; percentiles come from a histogram and are at most 19 % high."
)
class DurationSummary:
    """Durations as shown."""

    name: str = strawberry.field(
        description="`queue` and `run` of batches; `read`, `extract`, `store`, `block` of blocks."
    )
    count: BigInt = strawberry.field(description="How many were measured.")
    mean: float = strawberry.field(description="Their mean.")
    p50: float | None = strawberry.field(description="Half took no longer.")
    p95: float | None = strawberry.field(description="95 % took no longer.")
    p99: float | None = strawberry.field(description="99 % took no longer.")


@strawberry.type(description="What happened in one time bucket, to one value of each dimension.")
class AnalyticsRow:
    """A row as shown."""

    time: DateTime = strawberry.field(description="When the time bucket begins.")
    bucket_id: strawberry.ID | None = strawberry.field(description="If asked for by bucket.")
    collection_id: strawberry.ID | None = strawberry.field(
        description="If asked for by collection."
    )
    extractor: str | None = strawberry.field(description="If asked for by extractor.")
    batches_queued: BigInt = strawberry.field(description="Batches submitted.")
    batches_completed: BigInt = strawberry.field(description="Batches that ended COMPLETED.")
    batches_completed_with_errors: BigInt = strawberry.field(description="With row errors.")
    batches_failed: BigInt = strawberry.field(description="Batches that ended FAILED.")
    batches_canceled: BigInt = strawberry.field(description="Batches that were canceled.")
    blocks_done: BigInt = strawberry.field(description="Blocks committed.")
    blocks_failed: BigInt = strawberry.field(description="Blocks given up.")
    blocks_retried: BigInt = strawberry.field(description="Attempts that will be repeated.")
    rows_in: BigInt = strawberry.field(description="Rows of blocks that ended.")
    rows_failed: BigInt = strawberry.field(description="Rows that failed.")
    row_failure_rate: float | None = strawberry.field(description="Failed rows per row, 0 to 1.")
    documents_written: BigInt = strawberry.field(description="Documents committed.")
    documents_per_busy_second: float | None = strawberry.field(
        description="Documents per second of the time that blocks took."
    )
    durations: list[DurationSummary] = strawberry.field(description="How long things took.")


def show_row(row: Row) -> AnalyticsRow:
    """Return a row as shown."""

    def count(name: str) -> BigInt:
        return BigInt(int(row.counts.get(name, 0)))

    rows_in, documents = count("rows_in"), count("documents_written")
    busy = row.durations.get("block", Durations()).seconds
    return AnalyticsRow(
        time=DateTime(row.time),
        bucket_id=None if row.bucket_id is None else strawberry.ID(row.bucket_id),
        collection_id=None if row.collection_id is None else strawberry.ID(row.collection_id),
        extractor=row.extractor,
        batches_queued=count("batches_queued"),
        batches_completed=count("batches_completed"),
        batches_completed_with_errors=count("batches_completed_with_errors"),
        batches_failed=count("batches_failed"),
        batches_canceled=count("batches_canceled"),
        blocks_done=count("blocks_done"),
        blocks_failed=count("blocks_failed"),
        blocks_retried=count("blocks_retried"),
        rows_in=rows_in,
        rows_failed=count("rows_failed"),
        row_failure_rate=count("rows_failed") / rows_in if rows_in else None,
        documents_written=documents,
        documents_per_busy_second=documents / busy if busy else None,
        durations=[_show_durations(name, one) for name, one in sorted(row.durations.items())],
    )


def _show_durations(name: str, durations: Durations) -> DurationSummary:
    p50, p95, p99 = (percentile(durations.buckets, share) for share in (0.5, 0.95, 0.99))
    return DurationSummary(
        name=name,
        count=BigInt(int(durations.count)),
        mean=durations.seconds / durations.count,
        p50=p50,
        p95=p95,
        p99=p99,
    )
