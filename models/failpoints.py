"""Failpoints: the places before and after every commit, where a test may let its process die.

A process that ends between two commits leaves what the first has written, and nothing else. Each
such place has a name here and is passed by `await reach(...)`, which looks at one variable when
nobody waits there. What must be true whatever ends there is in tests/failpoints.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from enum import StrEnum
from typing import Final


class Failpoint(StrEnum):
    """A place; each member says what has just been written, or is about to be."""

    REQUEST_CLAIMED = "request.claimed"  # an idempotency key is taken, its effect is not there
    REQUEST_SETTLED = "request.settled"  # the effect is there, the client does not know
    SUBMIT_FLATTENED = "submit.flattened"  # the manifest is on S3
    SUBMIT_BLOCKS_STORED = "submit.blocks_stored"  # and the blocks in MongoDB; the batch a draft
    BATCH_QUEUED = "batch.queued"  # nobody has been told
    BATCH_FILLED = "batch.filled"  # a draft has more objects, who added them does not know
    BATCH_CLAIMED = "batch.claimed"  # the lease is ours, the engine has not heard of it
    BATCH_HANDED_OVER = "batch.handed_over"
    BATCH_JUDGED = "batch.judged"  # every block has ended, the batch is about to
    BATCH_MOVED = "batch.moved"  # it has another status, nobody has been told
    BATCH_CANCELING = "batch.canceling"  # its blocks are canceled, it is not yet
    BATCH_REOPENED = "batch.reopened"  # for a retry; nobody has been told
    RUN_GOES_ON = "run.goes_on"  # about to claim blocks, or to renew the lease of one
    BLOCK_CLAIMED = "block.claimed"
    BLOCK_EXTRACTED = "block.extracted"  # in memory alone
    ARTIFACT_STORED = "artifact.stored"  # and no point yet
    POINTS_STORED = "points.stored"  # which nobody can find
    BLOCK_COMMITTED = "block.committed"  # nobody has been told, stale points are there still
    BLOCK_RELEASED = "block.released"
    BLOCK_FAILED = "block.failed"
    LOG_PLACED = "log.placed"  # entries have their place, their deliveries wait
    LOG_TRIM_CLAIMED = "log.trim_claimed"  # nobody else looks for old entries for a while
    LOG_TRIM_TOLD = "log.trim_told"  # readers know that entries may be missing; they are there
    LOG_TRIMMED = "log.trimmed"  # they are gone, the log does not say so
    DELIVERY_BEGUN = "delivery.begun"  # the attempt is counted
    DELIVERY_SENT = "delivery.sent"  # the receiver has it, and we have no word of it
    DELIVERY_ENDED = "delivery.ended"
    TASK_ACCEPTED = "task.accepted"  # nobody has been told
    TASK_CLAIMED = "task.claimed"
    TASK_MARKED = "task.marked"  # a step of it is done
    TASK_DONE = "task.done"  # all of it, and the task does not say so
    OBJECTS_WRITTEN = "objects.written"  # nobody has been told
    UPLOAD_CONFIRMED = "upload.confirmed"  # the client does not know
    UPLOAD_DISCARDED = "upload.discarded"  # nothing may refer to it; its bytes are there
    UPLOAD_EMPTIED = "upload.emptied"  # its bytes are gone, its record is there
    LINES_SETTLED = "lines.settled"  # of an import, with the place after them
    LINES_CHECKED = "lines.checked"  # all of them and none is wrong; none is written
    NAMESPACE_EMPTIED = "namespace.emptied"  # its keys and itself are there
    POINTS_REBUILT = "points.rebuilt"  # the collection's signature is the earlier one
    SCHEDULE_MOVED_ON = "schedule.moved_on"  # its due runs are stored
    SCHEDULE_RUN_BEGUN = "schedule.run_begun"  # it is known what it takes
    SCHEDULE_RUN_SUBMITTED = "schedule.run_submitted"  # its batch runs, the run does not say so


_watch: Final[ContextVar[Callable[[Failpoint], Awaitable[None]] | None]] = ContextVar(
    "failpoints", default=None
)


async def reach(point: Failpoint) -> None:
    """Pass a place, unless a test has this process end there."""
    watch = _watch.get()
    if watch is not None:
        await watch(point)


def watch_failpoints(watch: Callable[[Failpoint], Awaitable[None]]) -> None:
    """Have something of the test's awaited in each place, by tasks that are made from here on."""
    _watch.set(watch)
