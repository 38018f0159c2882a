"""Rules on batches that wait: for a worker, a conductor, a limit, or for nothing at all."""

from collections.abc import Iterator

from models.states import BatchStatus, BlockStatus
from workers.diagnosis.case import WAITING_FOR_ENGINE, WAITING_FOR_WORKER, Case
from workers.diagnosis.findings import Finding, FindingCategory, Health, Severity, counted

_HEALS = "A worker's sweep mends this by itself within {:.0f} s; see that `strata worker` runs."


def is_a_draft(case: Case) -> Iterator[Finding]:
    """Explain a draft."""
    if case.batch.status == BatchStatus.DRAFT:
        yield Finding(
            FindingCategory.NOT_SUBMITTED,
            Severity.INFO,
            "It is a draft: nothing runs before it is submitted.",
            "Call submitBatch; planBatch shows first what it would do.",
            evidence={"objects": case.batch.counts.objects},
        )


def is_held_back(case: Case) -> Iterator[Finding]:
    """Pass on a reason that is no defect: a limit, a pause."""
    reason = case.batch.reason
    if reason is None or not case.is_held_back:
        return
    yield Finding(
        FindingCategory.HELD_BACK,
        Severity.INFO,
        reason.message,
        "Nothing is to be mended: it goes on when the reason is gone. A pause ends by resumeBatch.",
        evidence={"reason": reason.code, "since": reason.since},
    )


def waits_for_a_worker(case: Case) -> Iterator[Finding]:
    """Find a batch that no worker takes up."""
    batch = case.batch
    waits = case.room_since is not None or case.waits_for in (None, WAITING_FOR_WORKER)
    waits = waits and batch.status == BatchStatus.QUEUED
    since = case.room_since or batch.updated_at
    waited = case.age(since)
    if not (waits or batch.status == BatchStatus.CANCELING) or waited < case.grace_seconds:
        return
    long = waited >= case.stuck_seconds
    yield Finding(
        FindingCategory.WAITING_FOR_WORKER,
        Severity.CRITICAL if long else Severity.WARNING,
        f"It has been {batch.status} for {waited:.0f} s and no worker takes it up.",
        "Start a worker (`strata worker`), or look into the log of those that run: every one "
        f"sweeps each {case.settings.worker.sweep_seconds:g} s (STRATA_WORKER__SWEEP_SECONDS).",
        Health.STUCK if long else Health.SLOW,
        evidence={"status": str(batch.status), "since": since, "waited": waited},
    )


def has_no_conductor(case: Case) -> Iterator[Finding]:
    """Find a batch that no engine takes, or whose run has ended without a word."""
    batch = case.batch
    if case.waits_for == WAITING_FOR_ENGINE and batch.reason is not None:
        since, said = batch.reason.since, batch.reason.message
    elif case.is_processing and case.age(batch.lease_until) > case.grace_seconds:
        since, said = batch.lease_until, "The run of the batch ended and no other has begun."
    else:
        return
    long = case.age(since) >= case.stuck_seconds
    yield Finding(
        FindingCategory.NO_CONDUCTOR,
        Severity.CRITICAL if long else Severity.WARNING,
        f"No conductor works on it: {said}",
        "Start the engine (`strata engine`) and see that Ray can be reached at "
        "STRATA_RAY__ADDRESS; `strata doctor` checks both. The batch goes on by itself.",
        Health.STUCK if long else Health.DEGRADED,
        evidence={"since": since, "epoch": batch.epoch, "leaseUntil": batch.lease_until},
    )


def has_lapsed_leases(case: Case) -> Iterator[Finding]:
    """Find blocks whose workers stopped renewing them."""
    lapsed = sum(one.lapsed for one in case.groups)
    if not case.is_processing or not lapsed or case.oldest_lease is None:
        return
    over = case.age(case.oldest_lease)
    long = over >= case.stuck_seconds
    yield Finding(
        FindingCategory.LEASE_LAPSED,
        Severity.CRITICAL if long else Severity.WARNING,
        f"{counted(lapsed, 'block')} lost whoever worked on them, the first {over:.0f} s ago.",
        "They are claimed again by themselves. When that is not so, the conductor is gone or full: "
        "see STRATA_ENGINE__CONDUCTORS and STRATA_ENGINE__CONDUCTOR_BLOCKS.",
        Health.STUCK if long else Health.DEGRADED,
        evidence={"blocks": lapsed, "oldestLease": case.oldest_lease},
    )


def is_claimed_by_nobody(case: Case) -> Iterator[Finding]:
    """Find blocks that could run at once while none does."""
    due = case.blocks_due
    if not case.looks_unclaimed:
        return
    if case.in_work:
        yield Finding(
            FindingCategory.HELD_BACK,
            Severity.INFO,
            f"{counted(due, 'block')} could run and wait for their turn in the namespace.",
            "Nothing is to be mended. More at once: STRATA_QUOTAS__BLOCKS_IN_FLIGHT, "
            "STRATA_ENGINE__CONDUCTOR_BLOCKS, STRATA_ENGINE__CONDUCTORS.",
            evidence={"blocksReady": due, "blocksInWork": case.in_work},
        )
        return
    yield Finding(
        FindingCategory.UNCLAIMED,
        Severity.CRITICAL,
        f"{counted(due, 'block')} could run; none was claimed for {case.quiet_seconds:.0f} s.",
        f"{_heals(case)} When its conductor is full of other batches, add conductors "
        "(STRATA_ENGINE__CONDUCTORS).",
        Health.STUCK,
        evidence={"blocksReady": due, "lastProgress": case.last_progress},
    )


def contradicts_its_blocks(case: Case) -> Iterator[Finding]:
    """Find a batch that waits for what can never come."""
    if not case.is_processing or case.quiet_seconds < case.grace_seconds:
        return
    batch, live = case.batch, case.blocks_live
    waiting = case.blocks(BlockStatus.WAITING)
    if batch.blocks_open != live:
        yield _contradiction(
            case,
            f"It counts {counted(batch.blocks_open, 'open block')} and has {live}.",
            {"blocksOpen": batch.blocks_open, "blocksLive": live},
        )
    if waiting and waiting == live:
        yield _contradiction(
            case,
            f"{counted(waiting, 'block')} left, which wait for others, and no other is to end.",
            {"blocksWaiting": waiting},
        )


def _contradiction(case: Case, summary: str, evidence: dict[str, int]) -> Finding:
    return Finding(
        FindingCategory.INCONSISTENT,
        Severity.CRITICAL,
        summary,
        _heals(case),
        Health.STUCK,
        evidence={**evidence, "lastProgress": case.last_progress},
    )


def _heals(case: Case) -> str:
    return _HEALS.format(case.stuck_seconds + case.settings.worker.sweep_seconds)


def backs_off(case: Case) -> Iterator[Finding]:
    """Find a batch of which everything that could run waits for its next attempt."""
    deferred = sum(one.deferred for one in case.groups)
    if not case.is_processing or not deferred or case.blocks_due:
        return
    if case.blocks(BlockStatus.LEASED):
        return
    ready = list(case.having(BlockStatus.READY))
    due = min((one.due_at for one in ready if one.due_at is not None), default=None)
    message = next((one.message for one in ready if one.message), None)
    yield Finding(
        FindingCategory.BACKING_OFF,
        Severity.WARNING,
        f"{counted(deferred, 'block')} failed for now, to be tried again.",
        "Nothing has to be done: it goes on at nextAttempt. Mend what the message names to "
        "spare the attempts that are left.",
        Health.DEGRADED,
        evidence={
            "blocks": deferred,
            "nextAttempt": due,
            "attempts": max(one.attempts for one in ready),
            "attemptsAllowed": case.settings.engine.max_attempts,
            "message": message,
        },
    )
