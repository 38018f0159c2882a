"""A batch as the rules see it: the batch, its blocks by collection and state, and the moment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from models.batch import NAMESPACE_LIMIT, Batch
from models.settings import Settings
from models.states import BatchStatus, BlockStatus
from models.vitals import BlockGroup

WAITING_FOR_WORKER: Final = "WAITING_FOR_WORKER"
WAITING_FOR_ENGINE: Final = "WAITING_FOR_ENGINE"
_DEFECTS: Final = (None, WAITING_FOR_WORKER, WAITING_FOR_ENGINE, "NOT_SUBMITTED")


@dataclass(frozen=True)
class Case:
    """What is known of one batch; nothing here is newer than `moment` by more than a read."""

    batch: Batch
    groups: Sequence[BlockGroup]
    settings: Settings
    moment: datetime
    in_work: int = 0  # blocks of its namespace; known where it matters
    room_since: datetime | None = None  # in its namespace, for one that waits for room; the same

    @property
    def is_processing(self) -> bool:
        """Whether somebody should be working on it."""
        return self.batch.status == BatchStatus.PROCESSING and not self.is_held_back

    @property
    def is_held_back(self) -> bool:
        """Whether it waits for a reason that is no defect: a limit, a pause."""
        if self.batch.hold is not None:
            return True
        return self.waits_for not in _DEFECTS and self.room_since is None

    @property
    def looks_unclaimed(self) -> bool:
        """Whether blocks could run while none of the batch does, and nothing has happened."""
        return (
            self.is_processing
            and self.blocks_due > 0
            and not self.blocks(BlockStatus.LEASED)
            and self.quiet_seconds >= self.stuck_seconds
        )

    @property
    def may_have_room(self) -> bool:
        """Whether it has waited for its namespace's limit for so long that one should look."""
        reason = self.batch.reason
        return (
            reason is not None
            and reason.code == NAMESPACE_LIMIT
            and self.batch.hold is None
            and self.batch.status == BatchStatus.QUEUED
            and self.age(reason.since) >= self.grace_seconds
        )

    @property
    def waits_for(self) -> str | None:
        """The code of the reason that is written down."""
        return None if self.batch.reason is None else self.batch.reason.code

    @property
    def stuck_seconds(self) -> float:
        """The silence after which a batch counts as stuck."""
        return self.settings.worker.stuck_seconds

    @property
    def grace_seconds(self) -> float:
        """How long the sweep may take to see to something."""
        return max(5.0, 3 * self.settings.worker.sweep_seconds)

    @cached_property
    def last_progress(self) -> datetime:
        """When something was last done for it: a change of its own, or a claim of a block."""
        began = [one.began_last for one in self.groups if one.began_last is not None]
        return max([self.batch.updated_at, *began])

    @property
    def quiet_seconds(self) -> float:
        """How long nothing has been done for it."""
        return self.age(self.last_progress)

    def age(self, moment: datetime) -> float:
        """Return the seconds since a moment; 0 when it is to come."""
        return max(0.0, (self.moment - moment).total_seconds())

    def blocks(self, *states: BlockStatus) -> int:
        """Return how many blocks are in one of some states."""
        return sum(one.blocks for one in self.having(*states))

    def having(self, *states: BlockStatus) -> Iterator[BlockGroup]:
        """Yield the groups in one of some states."""
        return (one for one in self.groups if one.status in states)

    @property
    def blocks_live(self) -> int:
        """How many blocks have not ended."""
        return sum(one.blocks for one in self.groups if one.live)

    @property
    def blocks_due(self) -> int:
        """How many blocks could be claimed at once."""
        return sum(one.blocks - one.deferred for one in self.having(BlockStatus.READY))

    @cached_property
    def oldest_lease(self) -> datetime | None:
        """The lease of a block that ends first, or ended."""
        found = [one.lease_until for one in self.groups if one.lease_until is not None]
        return min(found, default=None)
