"""`diagnoseBatch`: what is wrong with a batch, by what evidence, and what to do about it."""

from datetime import datetime
from typing import Annotated

import strawberry

from graphql_api.batches.health import BatchHealth, show_health
from graphql_api.batches.row_errors import RowError, show_row_error
from graphql_api.batches.tiers import BlockCounts
from graphql_api.batches.types import Batch, show_batch
from graphql_api.context import Info
from graphql_api.enums import FindingCategory, Severity
from graphql_api.scalars import DateTime, show_time
from models.states import BlockStatus
from workers.diagnosis.case import Case
from workers.diagnosis.findings import Finding as FindingModel
from workers.diagnosis.findings import Value
from workers.diagnosis.judging import Diagnosis, diagnose_batch


@strawberry.type(description="One thing that was read: a number, a moment or a text.")
class Evidence:
    """Evidence as shown; one of the values is there."""

    name: str = strawberry.field(description="What it is; times are in seconds.")
    number: float | None = strawberry.field(default=None, description="Its value, if a number.")
    at: DateTime | None = strawberry.field(default=None, description="Its value, if a moment.")
    text: str | None = strawberry.field(default=None, description="Its value, if a text.")


@strawberry.type(description="Something that is wrong with a batch, or that explains a wait.")
class Finding:
    """A finding as shown."""

    category: FindingCategory = strawberry.field(description="Its kind.")
    severity: Severity = strawberry.field(description="How much it matters.")
    summary: str = strawberry.field(description="What is so, in a sentence.")
    recommendation: str = strawberry.field(
        description="What to do, with the mutation, the setting or the command by name."
    )
    collection_id: strawberry.ID | None = strawberry.field(
        description="The collection; null when it is the batch as a whole."
    )
    evidence: list[Evidence] = strawberry.field(description="What it was judged from.")


@strawberry.type(description="What was found out about a batch, from stored state alone.")
class BatchDiagnosis:
    """A diagnosis as shown."""

    batch: Batch = strawberry.field(description="The batch as it was read.")
    at: DateTime = strawberry.field(description="When.")
    health: BatchHealth = strawberry.field(description="How it is doing.")
    findings: list[Finding] = strawberry.field(description="The gravest first.")
    failed_rows: list[RowError] = strawberry.field(
        description="A sample of at most ten failed rows, in turn of every cause."
    )
    blocks: BlockCounts = strawberry.field(description="Its units of work by state.")
    last_progress_at: DateTime = strawberry.field(description="The latest sign of work.")
    oldest_lease_at: DateTime | None = strawberry.field(
        description="When the first lease of a unit ends, or ended; null when none is held."
    )
    attempts_lost: int = strawberry.field(description="Attempts whose process died or stood still.")


@strawberry.type
class DiagnosisQuery:
    """What is wrong with batches."""

    @strawberry.field(
        description="What is wrong with a batch, or holds it up, and what to do; null when there "
        "is no such batch."
    )
    async def diagnose_batch(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Id of the batch.")],
    ) -> BatchDiagnosis | None:
        """Diagnose a batch."""
        found = await diagnose_batch(info.context.stores.settings, info.context.scope, id)
        return None if found is None else _show_diagnosis(found)


def _show_diagnosis(found: Diagnosis) -> BatchDiagnosis:
    lease = found.case.oldest_lease
    return BatchDiagnosis(
        batch=show_batch(found.batch),
        at=DateTime(found.moment),
        health=show_health(found.judgement),
        findings=[_show_finding(one) for one in found.findings],
        failed_rows=[show_row_error(one) for one in found.sample],
        blocks=_show_blocks(found.case),
        last_progress_at=DateTime(found.case.last_progress),
        oldest_lease_at=show_time(lease),
        attempts_lost=found.attempts_lost,
    )


def _show_blocks(case: Case) -> BlockCounts:
    return BlockCounts(**{status.lower(): case.blocks(status) for status in BlockStatus})


def _show_finding(found: FindingModel) -> Finding:
    collection_id = found.collection_id
    return Finding(
        category=found.category,
        severity=found.severity,
        summary=found.summary,
        recommendation=found.recommendation,
        collection_id=None if collection_id is None else strawberry.ID(collection_id),
        evidence=[
            _show_evidence(name, value)
            for name, value in found.evidence.items()
            if value is not None
        ],
    )


def _show_evidence(name: str, value: Value) -> Evidence:
    if isinstance(value, datetime):
        return Evidence(name=name, at=DateTime(value))
    if isinstance(value, str):
        return Evidence(name=name, text=value)
    return Evidence(name=name, number=float(value))
