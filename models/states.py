"""Where a batch or a block is, and what may follow. The tables compile into update filters.

DRAFT -> QUEUED -> PROCESSING -> COMPLETED | COMPLETED_WITH_ERRORS | FAILED
         QUEUED | PROCESSING -> CANCELING -> CANCELED
         COMPLETED_WITH_ERRORS | FAILED | CANCELED -> QUEUED, by a retry alone
WAITING -> READY -> LEASED -> DONE | FAILED | CANCELED
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class BatchStatus(StrEnum):
    """Where a batch is; each member says what is true in it."""

    DRAFT = "DRAFT"  # objects may still be added
    QUEUED = "QUEUED"  # accepted: its objects, tiers and blocks no longer change
    PROCESSING = "PROCESSING"  # claimed; blocks may be leased
    CANCELING = "CANCELING"  # no block may commit; those under way are being stopped
    COMPLETED = "COMPLETED"  # every block is done and every row accounted for
    COMPLETED_WITH_ERRORS = "COMPLETED_WITH_ERRORS"  # the same, with failed rows on record
    FAILED = "FAILED"  # it cannot go on; the reason is stored
    CANCELED = "CANCELED"  # stopped on request; nothing more is written


class BlockStatus(StrEnum):
    """Where a block is."""

    WAITING = "WAITING"  # blocks that it reads are not done
    READY = "READY"  # may be claimed once `not_before` has passed
    LEASED = "LEASED"  # somebody works on it until `lease_until`
    DONE = "DONE"  # its output pointer and counts are final
    FAILED = "FAILED"  # attempts used up, or the failure is permanent
    CANCELED = "CANCELED"  # the batch was canceled, or a block that it reads failed


class Hold(StrEnum):
    """Why no further block of a live batch may be claimed; what is in work ends as usual."""

    PAUSED = "PAUSED"  # until it is resumed
    STOPPING = "STOPPING"  # until nothing of it is in work; then it is canceled


class Lifecycle(StrEnum):
    """Whether a bucket or collection may be used; its deletion is a task that takes time."""

    ACTIVE = "ACTIVE"
    DELETING = "DELETING"  # accepted: nothing new may refer to it


# fmt: off
S = BatchStatus
TRANSITIONS: Final[Mapping[BatchStatus, frozenset[BatchStatus]]] = {
    S.DRAFT:      frozenset({S.QUEUED}),
    S.QUEUED:     frozenset({S.PROCESSING, S.FAILED, S.CANCELING}),
    S.PROCESSING: frozenset({S.COMPLETED, S.COMPLETED_WITH_ERRORS, S.FAILED, S.CANCELING}),
    S.CANCELING:  frozenset({S.CANCELED}),
    S.COMPLETED:  frozenset(), S.COMPLETED_WITH_ERRORS: frozenset(),
    S.FAILED:     frozenset(), S.CANCELED: frozenset(),
}
# A final state is left by nothing but a retry that a client asks for.
REOPENINGS: Final[Mapping[BatchStatus, frozenset[BatchStatus]]] = {
    S.COMPLETED_WITH_ERRORS: frozenset({S.QUEUED}),
    S.FAILED:                frozenset({S.QUEUED}),
    S.CANCELED:              frozenset({S.QUEUED}),
}
B = BlockStatus
BLOCK_TRANSITIONS: Final[Mapping[BlockStatus, frozenset[BlockStatus]]] = {
    B.WAITING: frozenset({B.READY, B.CANCELED}),
    B.READY:   frozenset({B.LEASED, B.CANCELED}),
    B.LEASED:  frozenset({B.LEASED, B.READY, B.DONE, B.FAILED, B.CANCELED}),
    B.DONE:    frozenset(), B.FAILED: frozenset(), B.CANCELED: frozenset(),
}
# fmt: on

FINAL: Final = frozenset(status for status, following in TRANSITIONS.items() if not following)
LIVE: Final = frozenset({S.QUEUED, S.PROCESSING, S.CANCELING})
ENDING: Final = FINAL | {S.CANCELING}  # a hold has no meaning any more
CANCELABLE: Final = frozenset({S.QUEUED, S.PROCESSING})  # a draft is deleted instead
HOLDABLE: Final = frozenset({S.QUEUED, S.PROCESSING})  # while further blocks may be claimed
DELETABLE: Final = FINAL | {S.DRAFT}
RETRYABLE: Final = frozenset(REOPENINGS)  # it may have rows that another try can help
BLOCK_FINAL: Final = frozenset(
    status for status, following in BLOCK_TRANSITIONS.items() if not following
)
BLOCK_LIVE: Final = frozenset(BlockStatus) - BLOCK_FINAL


def origins(to: BatchStatus) -> list[str]:
    """Return the states from which `to` may be entered: the filter of the one update."""
    return sorted(status for status, following in TRANSITIONS.items() if to in following)


def block_origins(to: BlockStatus) -> list[str]:
    """Return the block states from which `to` may be entered."""
    return sorted(status for status, following in BLOCK_TRANSITIONS.items() if to in following)
