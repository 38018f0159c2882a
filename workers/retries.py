"""Opens an ended batch again for the part of it that failed or was not run."""

from dataclasses import dataclass
from typing import Any

from engine.catalog import extractor_spec
from models.batch import Batch, Reason, change_batch
from models.block import Block
from models.bucket import Bucket
from models.collection import Collection
from models.database import Session
from models.deadlines import begin_deadline
from models.errors import Conflict, IllegalTransition, InvalidInput, NotFound
from models.events import STATUS_EVENTS, Event
from models.failpoints import Failpoint, reach
from models.idempotency import Claim
from models.reopening import (
    forget_errors,
    read_blocks,
    read_failures,
    reopen_blocks,
    take_rows_out,
)
from models.scope import Scope
from models.states import RETRYABLE, BatchStatus
from models.stored import LONG_AGO, now
from models.stores import Stores
from models.turns import turn_of
from workers.admission import require_room
from workers.batches import MAX_OBJECT_IDS
from workers.lifecycle import require_active
from workers.reopening import Reopening, RetryChoice, plan_reopening
from workers.transitions import announce_status, update_task


@dataclass(frozen=True)
class Retry:
    """A batch that goes on, and with how much."""

    batch: Batch
    blocks: int
    rows: int


async def retry_batch(
    stores: Stores,
    scope: Scope,
    batch_id: str,
    choice: RetryChoice,
    *,
    claim: Claim | None = None,
) -> Retry:
    """Queue an ended batch again for what is chosen of its failures and canceled blocks.

    Documents of good rows stay as they are, and the counts are afterwards those of a batch in which
    the chosen rows were not yet tried. All of it is one transaction with its event.

    Raises:
        NotFound: no such batch.
        IllegalTransition: the batch has not ended, or ended COMPLETED.
        InvalidInput: it has no such tier or collection.
        LimitExceeded: the namespace has as many live batches as it may.
        Conflict: nothing in it is to be tried again, or its bucket or a collection is going.
    """
    batch = await scope.require(Batch, batch_id, path=("batchId",))
    _require_retryable(batch)
    _require_places(batch, choice)
    whole = await _require_sources(scope, batch)

    async def work(session: Session) -> tuple[Event, Reopening]:
        await _require_unchanged(session, batch)
        blocks = await read_blocks(session, batch_id, batch.submission or "")
        errors = await read_failures(session, batch_id)
        plan = plan_reopening(blocks, errors, choice, whole.__contains__)
        if not plan.blocks:
            raise Conflict(
                f"Nothing of batch {batch_id} is to be tried again.",
                path=("mode",),
                hint="See its rowErrors; mode ALL takes those that no further try may help.",
            )
        await _reopen(session, plan)
        event = await _queue(session, batch, plan, choice)
        await require_room(stores.settings.quotas, scope.namespace_id, session)
        await (claim or Claim()).settle(
            session, batch_id=batch_id, blocks=len(plan.blocks), rows=plan.rows
        )
        return event, plan

    event, plan = await stores.database.transaction(work)
    await reach(Failpoint.BATCH_REOPENED)
    await announce_status(stores, event)
    return Retry(await scope.require(Batch, batch_id), len(plan.blocks), plan.rows)


async def replay_retry(scope: Scope, made: dict[str, Any]) -> Retry:
    """Return what a retry answered; raises NotFound."""
    return Retry(await scope.require(Batch, made["batch_id"]), made["blocks"], made["rows"])


def _require_retryable(batch: Batch) -> None:
    if batch.status not in RETRYABLE:
        raise IllegalTransition(
            f"Batch {batch.id} is {batch.status}; nothing of it can be tried again.",
            path=("batchId",),
            hint=f"Only a batch that ended {', '.join(sorted(RETRYABLE))} can be retried.",
        )


async def _require_unchanged(session: Session, batch: Batch) -> None:
    """Refuse when another retry was faster: what it opened must not look like nothing to do."""
    row = await Batch.get_pymongo_collection().find_one(
        {"_id": batch.id, "retries": batch.retries, "status": str(batch.status)},
        {"_id": 1},
        session=session,
    )
    if row is None:
        raise _changed(batch)


def _changed(batch: Batch) -> IllegalTransition:
    return IllegalTransition(
        f"Batch {batch.id} was retried or deleted at this moment.",
        path=("batchId",),
        hint="Look at it again.",
    )


def _require_places(batch: Batch, choice: RetryChoice) -> None:
    numbers = {tier.number for tier in batch.tiers}
    if unknown := sorted((choice.tiers or frozenset()) - numbers):
        raise InvalidInput(
            f"The batch has no tier {unknown[0]}.",
            path=("tiers",),
            hint=f"It has the tiers {', '.join(map(str, sorted(numbers)))}.",
        )
    collections = {one for tier in batch.tiers for one in tier.collection_ids}
    if strange := sorted((choice.collection_ids or frozenset()) - collections):
        raise InvalidInput(
            f"{strange[0]!r} is no collection of the batch.", path=("collectionIds",)
        )
    if len(choice.object_ids or ()) > MAX_OBJECT_IDS:
        raise InvalidInput(
            f"{len(choice.object_ids or ())} ids in one call; at most {MAX_OBJECT_IDS}.",
            path=("objectIds",),
        )
    if choice.max_attempts is not None and choice.max_attempts < 1:
        raise InvalidInput("maxAttempts is at least 1.", path=("maxAttempts",))


async def _require_sources(scope: Scope, batch: Batch) -> set[str]:
    """Check that all that the batch runs is there still; return what needs whole tiers."""
    bucket = await scope.require(Bucket, batch.bucket_id)
    require_active(bucket, path=("batchId",))
    wanted = [one for tier in batch.tiers for one in tier.collection_ids]
    collections = await scope.find_many(Collection, wanted)
    for collection_id in wanted:
        if collection_id not in collections:
            raise NotFound(
                f"Collection {collection_id}, which the batch feeds, was deleted.",
                path=("batchId",),
                hint="Submit the objects in a new batch.",
            )
        require_active(collections[collection_id], path=("batchId",))
    return {
        one.id
        for one in collections.values()
        if extractor_spec(one.extractor.label).needs_whole_tier
    }


async def _reopen(session: Session, plan: Reopening) -> None:
    await reopen_blocks(session, plan.begun_afresh.values())
    await take_rows_out(session, plan.taken_out)
    if plan.added:
        rows = [block.to_mongo() for block in plan.added]
        await Block.get_pymongo_collection().insert_many(rows, session=session)
    await forget_errors(session, blocks=list(plan.begun_afresh), errors=plan.errors)


async def _queue(session: Session, batch: Batch, plan: Reopening, choice: RetryChoice) -> Event:
    undone = {f"counts.{name}": -number for name, number in plan.undone if number}
    reason = Reason(code="WAITING_FOR_WORKER", message="To be retried; a worker will take it.")
    event = await change_batch(
        session,
        {"_id": batch.id, "status": {"$in": sorted(RETRYABLE)}, "retries": batch.retries},
        {
            "$set": {
                "status": str(BatchStatus.QUEUED),
                "reason": reason.model_dump(),
                "error_message": None,
                "finished_at": None,
                "tidied": False,
                "lease_until": LONG_AGO,
                "turn_at": turn_of(now(), batch.priority),
                "deadline_at": None,
                "blocks_open": len(plan.blocks),
            },
            "$inc": {"retries": 1, "blocks_total": len(plan.added), **undone},
            "$pull": {"completed_tiers": {"$in": plan.tiers}},
        },
        STATUS_EVENTS[BatchStatus.QUEUED],
        {
            "retry": batch.retries + 1,
            "mode": str(choice.mode),
            "blocks": len(plan.blocks),
            "rows": plan.rows,
        },
    )
    if event is None:  # raising undoes the blocks' changes too
        raise _changed(batch)
    await begin_deadline(session, batch.id, batch.deadline_seconds)
    await update_task(session, batch.id, BatchStatus.QUEUED)
    return event
