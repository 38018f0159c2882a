"""Rules on rows and attempts that fail: how many, where, and what else they hold up."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from models.states import FINAL, BatchStatus, BlockStatus
from models.vitals import BlockGroup
from workers.breaker import ROWS
from workers.diagnosis.case import Case
from workers.diagnosis.findings import Finding, FindingCategory, Health, Severity, counted

_NEAR: Final = 0.35  # of the tried rows; the breaker ends a batch at one half
_ENOUGH: Final = 20  # rows that were tried, before a share of them says anything


def failed_as_a_whole(case: Case) -> Iterator[Finding]:
    """Say why a batch failed."""
    if case.batch.status == BatchStatus.FAILED:
        yield Finding(
            FindingCategory.BATCH_FAILED,
            Severity.CRITICAL,
            case.batch.error_message or "The batch failed.",
            "Mend what the other findings name, then call retryBatch(mode: ALL).",
            evidence={"finishedAt": case.batch.finished_at},
        )


def nears_the_breaker(case: Case) -> Iterator[Finding]:
    """Warn before most rows have failed, when the batch is ended early."""
    counts = case.batch.counts
    tried, failed = counts.rows_tried, counts.rows_failed
    if case.batch.status in FINAL or tried < _ENOUGH or failed < _NEAR * tried:
        return
    yield Finding(
        FindingCategory.BREAKER_NEAR,
        Severity.CRITICAL,
        f"{failed} of {counted(tried, 'row')} failed; above one half of one cause the batch is "
        "ended early.",
        "Mend the cause that the row errors name. To keep the attempts, call cancelBatch now and "
        "retryBatch(mode: ALL) afterwards.",
        Health.FAILING,
        evidence={
            "rowsFailed": failed,
            "rowsTried": tried,
            "share": failed / tried,
            "rowsNeeded": ROWS,
        },
    )


def fails_in_one_extractor(case: Case) -> Iterator[Finding]:
    """Find collections of which no row succeeds."""
    for collection_id, groups in _by_collection(case).items():
        failed = sum(one.rows_failed for one in groups)
        if not failed or any(one.rows_succeeded or one.rows_skipped for one in groups):
            continue
        label = next((one.extractor for one in groups if one.extractor), "an extractor")
        message = next((one.message for one in groups if one.message), None)
        yield Finding(
            FindingCategory.EXTRACTOR_FAILS,
            Severity.CRITICAL,
            f"Every row that {label} has tried failed: {failed} so far.",
            "It is the extractor or its input mapping, not the single rows: see `extractors` for "
            "what it lacks (packages, nets, credentials) and the collection's inputMappings. Then "
            "call retryBatch(mode: ALL).",
            Health.FAILING,
            collection_id,
            {"extractor": label, "rowsFailed": failed, "rowsSucceeded": 0, "message": message},
        )


def _by_collection(case: Case) -> Mapping[str, list[BlockGroup]]:
    found: dict[str, list[BlockGroup]] = defaultdict(list)
    for one in case.groups:
        found[one.collection_id].append(one)
    return found


def has_a_blocked_branch(case: Case) -> Iterator[Finding]:
    """Find blocks that never ran because one that they read failed."""
    if case.batch.status in (BatchStatus.CANCELING, BatchStatus.CANCELED):
        return
    for one in case.having(BlockStatus.CANCELED):
        yield Finding(
            FindingCategory.BLOCKED_BRANCH,
            Severity.WARNING,
            f"{counted(one.blocks, 'block')} of tier {one.tier} never ran. {one.message or ''}",
            "Mend what failed in the tier before; retryBatch opens it and these blocks again.",
            Health.DEGRADED,
            one.collection_id,
            {"blocks": one.blocks, "tier": one.tier},
        )


def lost_attempts(case: Case) -> Iterator[Finding]:
    """Find blocks whose processes died or hung under them."""
    lost = sum(one.lost for one in case.groups)
    if not lost:
        return
    most = max(one.attempts for one in case.groups if one.lost)
    over = case.batch.status in FINAL
    yield Finding(
        FindingCategory.ATTEMPTS_LOST,
        Severity.WARNING,
        f"{counted(lost, 'attempt')} ended without a word: a process died or stood still.",
        "Look for the kernel's out-of-memory killer and for lost nodes. Less at once needs less "
        "memory: STRATA_ENGINE__BLOCK_ROWS, STRATA_ENGINE__POOL_SIZE, "
        "STRATA_ENGINE__BLOCKS_IN_FLIGHT.",
        Health.HEALTHY if over else Health.DEGRADED,
        evidence={
            "attemptsLost": lost,
            "attemptsOfOneBlock": most,
            "attemptsAllowed": case.settings.engine.max_attempts,
        },
    )


def lacks_inputs(case: Case) -> Iterator[Finding]:
    """Find rows that had not what an extractor needs."""
    counts = case.batch.counts
    missing = counts.rows_missing_input
    if not missing:
        return
    every = missing == counts.rows_in
    yield Finding(
        FindingCategory.MISSING_INPUT,
        Severity.CRITICAL if every else Severity.INFO,
        f"{missing} of {counted(counts.rows_in, 'row')} left out, for want of an input.",
        "Compare the collection's inputMappings with the objects' fields; mend the objects with "
        "updateObjects and submit them in a new batch.",
        Health.FAILING if every else Health.HEALTHY,
        evidence={"rowsMissingInput": missing, "rowsIn": counts.rows_in},
    )
