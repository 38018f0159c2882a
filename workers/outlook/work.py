"""What is left of a batch, in seconds of work at the pace of what was done before."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models.pace import Pace
from models.states import BlockStatus, Hold
from models.vitals import BlockGroup
from workers.diagnosis.case import Case
from workers.diagnosis.waits import has_no_conductor, waits_for_a_worker

PaceOf = Callable[[str], Pace | None]  # of a collection


@dataclass(frozen=True)
class Work:
    """What is left of a batch; infinite when the pace is not known, or nobody works on it."""

    seconds: float  # of all blocks, as if one were worked on after the other
    shortest: float  # until the end, however many are worked on at once

    def lanes(self, most: float) -> float:
        """Return how many blocks at once it can make use of, at most `most`."""
        return min(most, self.seconds / self.shortest) if 0 < self.shortest < math.inf else most


UNKNOWN = Work(math.inf, math.inf)


def own_paces(case: Case) -> Mapping[str, Pace]:
    """Return the paces of a batch's own blocks that are done: they are of its size and rows."""
    return {
        one.collection_id: Pace(one.busy_seconds, one.blocks, one.rows)
        for one in case.having(BlockStatus.DONE)
    }


def work_left(case: Case, pace_of: PaceOf) -> Work:
    """Return what is left of a live batch.

    Blocks in work are spared what they have taken so far. One that waits for its next attempt
    cannot end before it.
    """
    if is_left_alone(case):
        return UNKNOWN
    own, seconds, longest = own_paces(case), 0.0, dict[int, float]()
    for group in _still_to_do(case):
        pace = own.get(group.collection_id) or pace_of(group.collection_id)
        if pace is None:
            return UNKNOWN
        whole = pace.seconds_for(group.rows, group.unsized)
        seconds += max(0.0, whole - group.running_seconds)
        last = _last_of(group, case, whole / group.blocks)
        longest[group.tier] = max(longest.get(group.tier, 0.0), last)
    shortest = sum(longest.values())
    return Work(max(seconds, shortest), shortest)


def _still_to_do(case: Case) -> list[BlockGroup]:
    stops = case.batch.hold is Hold.STOPPING
    live = (one for one in case.groups if one.live)
    return [one for one in live if not stops or one.status is BlockStatus.LEASED]


def _last_of(group: BlockGroup, case: Case, each: float) -> float:
    """Return the seconds until the last block of a group can end, were there no others."""
    if group.status is BlockStatus.LEASED and group.began_last is not None:
        return max(0.0, each - case.age(group.began_last))
    if group.due_last is not None:
        return each + (group.due_last - case.moment).total_seconds()
    return each


def is_left_alone(case: Case) -> bool:
    """Tell whether a batch is paused, or nobody takes it up, so that no time can be told."""
    if case.batch.hold is Hold.PAUSED:
        return True
    return any(True for rule in (waits_for_a_worker, has_no_conductor) for _ in rule(case))
