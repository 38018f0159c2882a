"""The rule on batches that may not end in time."""

import math
from collections.abc import Iterator
from typing import Final

from models.states import HOLDABLE
from workers.diagnosis.case import Case
from workers.diagnosis.findings import Finding, FindingCategory, Health, Severity
from workers.outlook.work import work_left

_SHARE: Final = 0.2  # of the time that a batch was given: with less left its deadline is near


def nears_its_deadline(case: Case) -> Iterator[Finding]:
    """Find a batch whose time is nearly over, or too short at the pace of its own blocks."""
    batch = case.batch
    if batch.deadline_at is None or batch.status not in HOLDABLE:
        return
    left = max(0.0, (batch.deadline_at - case.moment).total_seconds())
    work = work_left(case, lambda _: None)
    needs = work.seconds / work.lanes(case.settings.engine.blocks_in_flight)
    late = left < needs < math.inf
    if not late and left >= _SHARE * (batch.deadline_seconds or 0.0):
        return
    yield Finding(
        FindingCategory.DEADLINE_NEAR,
        Severity.WARNING,
        f"At its pace it needs {needs:.0f} s more, and its deadline is in {left:.0f} s."
        if late
        else f"Its deadline is in {left:.0f} s.",
        "At its deadline it ends FAILED and keeps what was committed; retryBatch then gives as "
        "much time again. Let it go first (setBatchPriority), or give its extractor more processes "
        "(STRATA_ENGINE__POOL_SIZE, more nodes for Ray).",
        Health.DEGRADED if late else Health.SLOW,
        evidence={
            "deadline": batch.deadline_at,
            "secondsLeft": left,
            "secondsNeeded": needs if needs < math.inf else None,
        },
    )
