"""The rules in their order, the health that follows from them, and the whole diagnosis."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from models.batch import Batch
from models.quotas import Congestion, count_in_work, read_congestion
from models.row_error import RowError
from models.scope import Scope
from models.settings import Settings
from models.states import FINAL, BatchStatus
from models.stored import now
from models.vitals import (
    BlockGroup,
    read_block_groups,
    read_error_causes,
    read_retry_causes,
    sample_of,
)
from workers.diagnosis.case import Case
from workers.diagnosis.causes import explain_errors, explain_retries
from workers.diagnosis.deadlines import nears_its_deadline
from workers.diagnosis.failures import (
    failed_as_a_whole,
    fails_in_one_extractor,
    has_a_blocked_branch,
    lacks_inputs,
    lost_attempts,
    nears_the_breaker,
)
from workers.diagnosis.findings import Finding, Health, counted, in_order, worst
from workers.diagnosis.pace import has_a_slow_block, has_a_slow_tier
from workers.diagnosis.waits import (
    backs_off,
    contradicts_its_blocks,
    has_lapsed_leases,
    has_no_conductor,
    is_a_draft,
    is_claimed_by_nobody,
    is_held_back,
    waits_for_a_worker,
)

RULES: Final[tuple[Callable[[Case], Iterator[Finding]], ...]] = (
    is_a_draft,
    is_held_back,
    waits_for_a_worker,
    has_no_conductor,
    has_lapsed_leases,
    is_claimed_by_nobody,
    contradicts_its_blocks,
    backs_off,
    failed_as_a_whole,
    fails_in_one_extractor,
    nears_the_breaker,
    lost_attempts,
    has_a_blocked_branch,
    lacks_inputs,
    has_a_slow_tier,
    has_a_slow_block,
    nears_its_deadline,
)
_ENDS: Final = {
    BatchStatus.COMPLETED: "It ended well.",
    BatchStatus.COMPLETED_WITH_ERRORS: "It ended, and some rows failed.",
    BatchStatus.FAILED: "It failed.",
    BatchStatus.CANCELED: "It was canceled.",
}


@dataclass(frozen=True)
class Judgement:
    """How a batch is doing, in one word and one sentence."""

    health: Health
    summary: str


@dataclass(frozen=True)
class Diagnosis:
    """All that was found, and what it was found from."""

    batch: Batch
    judgement: Judgement
    findings: list[Finding]
    sample: list[RowError]
    case: Case

    @property
    def attempts_lost(self) -> int:
        """Attempts that ended without a word."""
        return sum(one.lost for one in self.case.groups)

    @property
    def moment(self) -> datetime:
        """When it was read."""
        return self.case.moment


def judge(case: Case) -> Judgement:
    """Return a batch's health; its blocks suffice."""
    return _judge(case, _apply_rules(case))


async def open_case(
    batch: Batch,
    groups: Sequence[BlockGroup],
    settings: Settings,
    count: Callable[[str], Awaitable[int]],
    read: Callable[[str], Awaitable[Congestion]],
) -> Case:
    """Return a case; its namespace is looked at where that matters alone.

    `count` counts the blocks in work, `read` is `models.quotas.read_congestion`.
    """
    case = Case(batch, groups, settings, now())
    if case.looks_unclaimed:
        return replace(case, in_work=await count(batch.namespace_id))
    if case.may_have_room:
        under_way, changed_at = await read(batch.namespace_id)
        most = settings.quotas.processing_batches
        if most is None or under_way < most:
            return replace(case, room_since=changed_at)
    return case


async def diagnose_batch(settings: Settings, scope: Scope, batch_id: str) -> Diagnosis | None:
    """Return what is wrong with a batch, from a handful of bounded reads; None if there is none."""
    batch = await scope.find(Batch, batch_id)
    if batch is None:
        return None
    submission = (batch_id, batch.submission or "")
    groups = (await read_block_groups(scope, [submission]))[batch_id]
    case = await open_case(batch, groups, settings, partial(count_in_work, None), read_congestion)
    errors = await read_error_causes(scope, batch_id)
    retries = await read_retry_causes(scope, batch_id)
    findings = _apply_rules(case)
    judgement = _judge(case, findings)
    findings += [*explain_errors(errors), *explain_retries(case, retries)]
    wanted = sample_of(errors)
    rows = await scope.find_many(RowError, wanted)
    sample = [rows[one] for one in wanted if one in rows]
    return Diagnosis(batch, judgement, in_order(findings), sample, case)


def _apply_rules(case: Case) -> list[Finding]:
    return [finding for rule in RULES for finding in rule(case)]


def _judge(case: Case, findings: list[Finding]) -> Judgement:
    batch = case.batch
    if batch.status in FINAL:
        return Judgement(Health.ENDED, batch.error_message or _ENDS[batch.status])
    found = worst(findings)
    if found is not None and found.health != Health.HEALTHY:
        return Judgement(found.health, found.summary)
    if failed := batch.counts.rows_failed:
        return Judgement(Health.DEGRADED, f"{counted(failed, 'row')} failed so far.")
    if found is not None:
        return Judgement(Health.HEALTHY, found.summary)
    done = batch.blocks_total - batch.blocks_open
    return Judgement(
        Health.HEALTHY,
        f"{done} of {batch.blocks_total} blocks are done; the latest sign of work is "
        f"{case.quiet_seconds:.0f} s old.",
    )
