"""What a diagnosis says: findings with evidence, and the health that follows from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Health(StrEnum):
    """How a batch is doing, from good to bad; ENDED stands apart."""

    HEALTHY = "HEALTHY"
    SLOW = "SLOW"
    DEGRADED = "DEGRADED"
    FAILING = "FAILING"
    STUCK = "STUCK"
    ENDED = "ENDED"


class Severity(StrEnum):
    """How much a finding matters."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


class FindingCategory(StrEnum):
    """What kind of thing was found: those of errors first, then those of the work itself."""

    DEPENDENCY = "DEPENDENCY"
    AUTHENTICATION = "AUTHENTICATION"
    VALIDATION = "VALIDATION"
    RUNTIME = "RUNTIME"
    NETWORK = "NETWORK"
    RESOURCE = "RESOURCE"
    TIMEOUT = "TIMEOUT"
    RATE_LIMIT = "RATE_LIMIT"
    NOT_SUBMITTED = "NOT_SUBMITTED"
    HELD_BACK = "HELD_BACK"
    WAITING_FOR_WORKER = "WAITING_FOR_WORKER"
    NO_CONDUCTOR = "NO_CONDUCTOR"
    LEASE_LAPSED = "LEASE_LAPSED"
    UNCLAIMED = "UNCLAIMED"
    INCONSISTENT = "INCONSISTENT"
    BACKING_OFF = "BACKING_OFF"
    ATTEMPTS_LOST = "ATTEMPTS_LOST"
    BREAKER_NEAR = "BREAKER_NEAR"
    EXTRACTOR_FAILS = "EXTRACTOR_FAILS"
    BLOCKED_BRANCH = "BLOCKED_BRANCH"
    MISSING_INPUT = "MISSING_INPUT"
    SLOW_TIER = "SLOW_TIER"
    SLOW_BLOCK = "SLOW_BLOCK"
    DEADLINE_NEAR = "DEADLINE_NEAR"
    BATCH_FAILED = "BATCH_FAILED"


Value = int | float | str | datetime


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or that explains a wait.

    `health` is what the batch is at best while this is so; `evidence` is what was read, by name:
    a number, a moment or a text.
    """

    category: FindingCategory
    severity: Severity
    summary: str
    recommendation: str
    health: Health = Health.HEALTHY
    collection_id: str | None = None
    evidence: Mapping[str, Value | None] = field(default_factory=dict)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as "1 block" or "2 blocks"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


RANKS = {health: rank for rank, health in enumerate(Health)}
_SEVERITIES = {severity: rank for rank, severity in enumerate(Severity)}


def worst(findings: list[Finding]) -> Finding | None:
    """Return the finding that says the worst of the batch; the first of equals."""
    return max(findings, key=lambda one: RANKS[one.health], default=None)


def in_order(findings: list[Finding]) -> list[Finding]:
    """Return findings with the gravest first; equals stay in the order of the rules."""
    return sorted(findings, key=lambda one: (-_SEVERITIES[one.severity], -RANKS[one.health]))
