"""The tiers of a batch: its collections in the order of dependence, with their counts."""

from typing import Any

import strawberry

from graphql_api.batches.progress import Counts, show_counts
from graphql_api.collections.types import Collection, show_collection
from graphql_api.context import Info
from graphql_api.scalars import BigInt
from models.batch import Batch as BatchModel
from models.batch import Counts as CountsModel
from models.states import BlockStatus


@strawberry.type(description="Units of work by state.")
class BlockCounts:
    """Block counts as shown."""

    waiting: int = strawberry.field(default=0, description="Blocks that they read are not done.")
    ready: int = strawberry.field(default=0, description="May be taken.")
    leased: int = strawberry.field(default=0, description="Being worked on.")
    done: int = strawberry.field(default=0, description="Committed.")
    failed: int = strawberry.field(default=0, description="Given up; their rows count as failed.")
    canceled: int = strawberry.field(default=0, description="Never to be run.")


@strawberry.type(
    description="The rows of a collection, step by step; each number is exact at any time. What "
    "was submitted and neither failed, succeeded nor was skipped is still under way."
)
class Funnel:
    """A row funnel as shown."""

    fetched: BigInt = strawberry.field(description="Rows read from the source so far.")
    filtered: BigInt = strawberry.field(description="Of these, rows that the filter left out.")
    missing_input: BigInt = strawberry.field(description="Rows that lacked an input or a field.")
    submitted: BigInt = strawberry.field(description="Rows left for the extractor.")
    failed: BigInt = strawberry.field(description="Rows that failed.")
    skipped: BigInt = strawberry.field(description="Rows that rightly yielded nothing.")
    succeeded: BigInt = strawberry.field(description="Rows that became documents.")
    documents_written: BigInt = strawberry.field(description="Documents committed.")


def show_funnel(counts: CountsModel) -> Funnel:
    """Return a collection's counts as a funnel."""
    submitted = counts.rows_in - counts.rows_filtered - counts.rows_missing_input
    return Funnel(
        fetched=BigInt(counts.rows_in),
        filtered=BigInt(counts.rows_filtered),
        missing_input=BigInt(counts.rows_missing_input),
        submitted=BigInt(submitted),
        failed=BigInt(counts.rows_failed),
        skipped=BigInt(counts.rows_skipped),
        succeeded=BigInt(counts.rows_succeeded),
        documents_written=BigInt(counts.documents_written),
    )


@strawberry.type(description="A collection's part in a batch.")
class TierCollection:
    """A collection of a tier as shown."""

    collection_id: strawberry.ID = strawberry.field(description="Id of the collection.")
    counts: Counts = strawberry.field(description="Its rows and documents.")
    funnel: Funnel = strawberry.field(description="Where its rows went, step by step.")
    blocks: BlockCounts = strawberry.field(description="Its units of work.")
    blocked_reason: str | None = strawberry.field(
        description="Why some of its units never ran; null when none was held up."
    )

    @strawberry.field(description="The collection; null when it was deleted.")
    async def collection(self, info: Info) -> Collection | None:
        """Load the collection."""
        found = await info.context.loaders.collection_by_id.load(self.collection_id)
        return None if found is None else show_collection(found)


@strawberry.type(description="Collections of a batch that may run side by side.")
class Tier:
    """A tier as shown."""

    number: int = strawberry.field(description="From 0.")
    collections: list[TierCollection] = strawberry.field(description="Its collections.")


def show_tiers(model: BatchModel, rows: list[dict[str, Any]]) -> list[Tier]:
    """Return a batch's tiers as shown; `rows` are the sums of its blocks."""
    reasons: dict[str, str] = {}
    counts: dict[str, CountsModel] = {}
    blocks: dict[str, BlockCounts] = {}
    for collection_id in (c for tier in model.tiers for c in tier.collection_ids):
        funnel = model.funnels.get(collection_id)
        known = {} if funnel is None else funnel.model_dump()
        counts[collection_id] = CountsModel(objects=model.counts.objects, **known)
        blocks[collection_id] = BlockCounts()
    for row in rows:
        collection_id = row["_id"]["collection_id"]
        setattr(blocks[collection_id], row["_id"]["status"].lower(), row["blocks"])
        if row["_id"]["status"] == BlockStatus.CANCELED and row["reason"]:
            reasons[collection_id] = f"{row['blocks']} of its blocks never ran. {row['reason']}"
        _add(counts[collection_id], row, first=collection_id in model.funnels)
    return [
        Tier(
            number=tier.number,
            collections=[
                TierCollection(
                    collection_id=strawberry.ID(collection_id),
                    counts=show_counts(counts[collection_id]),
                    funnel=show_funnel(counts[collection_id]),
                    blocks=blocks[collection_id],
                    blocked_reason=reasons.get(collection_id),
                )
                for collection_id in tier.collection_ids
            ],
        )
        for tier in model.tiers
    ]


def _add(counts: CountsModel, row: dict[str, int], *, first: bool) -> None:
    """Add a sum of blocks; rows of the first tier were counted in by its funnel."""
    for name in CountsModel.model_fields:
        if name in row and not (first and name == "rows_in"):
            setattr(counts, name, getattr(counts, name) + row[name])
