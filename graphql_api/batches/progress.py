"""How far a batch is: counts, progress, why it waits."""

import strawberry

from graphql_api.scalars import BigInt, DateTime
from models.batch import Batch as BatchModel
from models.batch import Counts as CountsModel
from models.states import FINAL
from models.stored import now


@strawberry.type(
    description="Rows and documents. At the end rowsIn is the sum of the five row outcomes."
)
class Counts:
    """Counts as shown."""

    objects: BigInt = strawberry.field(description="Objects in the batch.")
    rows_in: BigInt = strawberry.field(description="Rows read, over all collections.")
    rows_filtered: BigInt = strawberry.field(description="Rows left out by a filter.")
    rows_missing_input: BigInt = strawberry.field(description="Rows that lacked an input.")
    rows_failed: BigInt = strawberry.field(description="Rows that failed.")
    rows_skipped: BigInt = strawberry.field(description="Rows that rightly yielded nothing.")
    rows_succeeded: BigInt = strawberry.field(description="Rows that became documents.")
    rows_reused: BigInt = strawberry.field(
        description="Of these, rows that were not computed again, for nothing had changed."
    )
    documents_written: BigInt = strawberry.field(description="Documents committed.")


def show_counts(counts: CountsModel) -> Counts:
    """Return counts as shown."""
    return Counts(**{name: BigInt(value) for name, value in counts.model_dump().items()})


@strawberry.type(description="Why a batch waits where it is.")
class Reason:
    """A reason as shown."""

    code: str = strawberry.field(description="Stable.")
    message: str = strawberry.field(description="The same in a sentence.")
    since: DateTime = strawberry.field(description="Since when.")


@strawberry.type(description="How far a batch is.")
class Progress:
    """Progress as shown."""

    blocks_total: int = strawberry.field(description="Units of work.")
    blocks_done: int = strawberry.field(description="Units that have ended.")
    rows_total: BigInt = strawberry.field(description="Rows known so far; later tiers add more.")
    rows_done: BigInt = strawberry.field(description="Rows whose outcome is known.")
    percent: float = strawberry.field(description="0 to 100, by units of work.")
    rows_per_second: float | None = strawberry.field(description="Mean rate since the start.")
    eta_seconds: float | None = strawberry.field(description="Seconds left at that rate.")


def show_progress(model: BatchModel) -> Progress:
    """Return a batch's progress as shown."""
    done = model.blocks_total - model.blocks_open
    elapsed = ((model.finished_at or now()) - (model.started_at or now())).total_seconds()
    running = model.status not in FINAL and done > 0
    return Progress(
        blocks_total=model.blocks_total,
        blocks_done=done,
        rows_total=BigInt(model.counts.rows_in),
        rows_done=BigInt(model.counts.rows_settled),
        percent=round(100 * done / model.blocks_total, 2) if model.blocks_total else 0.0,
        rows_per_second=model.counts.rows_settled / elapsed if elapsed > 0 else None,
        eta_seconds=elapsed * model.blocks_open / done if running else None,
    )
