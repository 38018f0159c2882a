"""Ends a batch whose deadline has passed, whatever it waits for, also while it is paused."""

from typing import Final

from models.batch import OVERDUE, Batch, Reason
from models.deadlines import is_overdue
from models.errors import InvalidInput, LimitExceeded
from models.settings import QuotaSettings
from models.states import BatchStatus
from models.stores import Stores
from workers.healing import heal_batch
from workers.transitions import fail_batch

DEADLINE_EXCEEDED: Final = "DEADLINE_EXCEEDED"
_PATH: Final = ("deadlineSeconds",)


def choose_deadline(quotas: QuotaSettings, seconds: float | None) -> float | None:
    """Return how long a batch may take, in seconds; None when nobody says.

    Raises:
        InvalidInput: no time at all.
        LimitExceeded: more than a batch may take.
    """
    if seconds is None:
        return quotas.batch_seconds
    if seconds <= 0:
        raise InvalidInput(f"A batch needs some time, not {seconds:g} s.", path=_PATH)
    if quotas.batch_seconds is not None and seconds > quotas.batch_seconds:
        raise LimitExceeded(
            f"A deadline of {seconds:g} s; at most {quotas.batch_seconds:g}.",
            path=_PATH,
            hint="Submit fewer objects in a batch, or ask for less time.",
        )
    return seconds


async def end_overdue(stores: Stores, batch: Batch) -> bool:
    """Fail a batch whose deadline has passed; what it committed stays. False when it has time.

    One that is kept from ending by damage is mended instead, and looked at again: it may have
    ended in time.
    """
    if batch.deadline_at is None or not await is_overdue(batch.id):
        return False
    if await heal_batch(stores, batch.id):
        return True
    message = (
        f"{DEADLINE_EXCEEDED}: the batch had not ended {batch.deadline_seconds:g} s after it was "
        "queued."
    )
    # One that has only to be counted has ended in time.
    unfinished = [{"status": str(BatchStatus.QUEUED)}, {"blocks_open": {"$gt": 0}}]
    return await fail_batch(
        stores,
        batch.id,
        message,
        match={**OVERDUE, "$or": unfinished},
        of_blocks="Not run: the batch's deadline passed.",
        reason=Reason(code=DEADLINE_EXCEEDED, message=message),
    )
