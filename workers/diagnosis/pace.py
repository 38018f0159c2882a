"""Rules on batches that go on, only slowly."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from models.states import BlockStatus
from workers.diagnosis.case import Case
from workers.diagnosis.findings import Finding, FindingCategory, Health, Severity

_SHARE: Final = 0.75  # of the time that all collections took
_SECONDS: Final = 60.0  # of work, or of one block, before either can be slow
_TIMES: Final = 5.0  # what a block may take, in blocks of its collection


def has_a_slow_tier(case: Case) -> Iterator[Finding]:
    """Find the collection that takes most of the time of several."""
    spent = {one.collection_id: one for one in case.having(BlockStatus.DONE)}
    total = sum(one.busy_seconds for one in spent.values())
    if not case.is_processing or len(spent) < 2 or total < _SECONDS:
        return
    slowest = max(spent.values(), key=lambda one: one.busy_seconds)
    left = sum(
        one.blocks for one in case.groups if one.live and one.collection_id == slowest.collection_id
    )
    if not left or slowest.busy_seconds < _SHARE * total:
        return
    each = slowest.busy_seconds / slowest.blocks
    yield Finding(
        FindingCategory.SLOW_TIER,
        Severity.INFO,
        f"Tier {slowest.tier} took {slowest.busy_seconds / total:.0%} of the time so far; "
        f"{left} of its blocks are left.",
        "Give its extractor more processes (STRATA_ENGINE__POOL_SIZE, more nodes for Ray) or "
        "let more blocks run at once (STRATA_ENGINE__BLOCKS_IN_FLIGHT).",
        Health.SLOW,
        slowest.collection_id,
        {
            "tier": slowest.tier,
            "busySeconds": slowest.busy_seconds,
            "share": slowest.busy_seconds / total,
            "secondsPerBlock": each,
            "blocksLeft": left,
            "secondsLeft": each * left,
        },
    )


def has_a_slow_block(case: Case) -> Iterator[Finding]:
    """Find a block that takes many times what those before it took."""
    if not case.is_processing:
        return
    mean: dict[str, float] = defaultdict(float)
    for one in case.having(BlockStatus.DONE):
        mean[one.collection_id] = one.busy_seconds / one.blocks
    for one in case.having(BlockStatus.LEASED):
        if one.began_first is None or one.collection_id not in mean:
            continue
        runs = case.age(one.began_first)
        if runs < max(_SECONDS, _TIMES * mean[one.collection_id]):
            continue
        yield Finding(
            FindingCategory.SLOW_BLOCK,
            Severity.WARNING,
            f"A block has run for {runs:.0f} s; those before it took "
            f"{mean[one.collection_id]:.1f} s.",
            "It makes progress, or its lease would be over. Rows of unusual size are the usual "
            "cause; cancelBatch ends it, STRATA_ENGINE__BLOCK_ROWS cuts smaller blocks.",
            Health.SLOW,
            one.collection_id,
            {"seconds": runs, "meanSeconds": mean[one.collection_id], "since": one.began_first},
        )
