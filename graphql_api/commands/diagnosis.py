"""`strata batch diagnose`: what is wrong with a batch of any namespace, from MongoDB alone."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.batch import Batch
from models.database import open_database
from models.errors import NotFound
from models.row_error import RowError
from models.scope import Deployment, Scope
from models.settings import Settings
from models.states import BlockStatus
from models.turns import read_positions
from models.vitals import read_block_groups
from workers.diagnosis.findings import Finding, Health, Severity, Value
from workers.diagnosis.judging import Diagnosis, diagnose_batch
from workers.outlook.estimates import Estimate, estimate_batches

_COLOURS = {Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.CRITICAL: "red"}
_BAD = frozenset({Health.STUCK, Health.FAILING})


async def diagnose(settings: Settings, batch_id: str, console: Console) -> bool:
    """Print the diagnosis of a batch; False when it is stuck or failing.

    Raises:
        NotFound: no such batch in any namespace.
        StoreUnavailable: MongoDB does not answer; the other stores are not asked.
    """
    database = await open_database(settings.mongo)
    try:
        batch = await Deployment().find(Batch, batch_id)
        scope = None if batch is None else Scope(batch.namespace_id)
        found = scope and await diagnose_batch(settings, scope, batch_id)
        if not scope or not found:
            raise NotFound(f"No batch {batch_id!r} in any namespace.")
        read_groups = partial(read_block_groups, scope)
        estimates = await estimate_batches(settings, scope, read_groups)
        positions = await read_positions(scope.namespace_id)
    finally:
        await database.close()
    print_diagnosis(found, console)
    print_estimate(estimates.get(batch_id, Estimate()), positions.get(batch_id), console)
    return found.judgement.health not in _BAD


def print_diagnosis(found: Diagnosis, console: Console) -> None:
    """Print the health, a table of findings, and one of failed rows."""
    batch, judgement = found.batch, found.judgement
    colour = "red" if judgement.health in _BAD else "green"
    console.print(
        f"[bold]{escape(batch.name or batch.id)}[/] of {batch.namespace_id}: {batch.status}, "
        f"[{colour}]{judgement.health}[/]",
        soft_wrap=True,
    )
    console.print(escape(judgement.summary), soft_wrap=True)
    blocks = {status: found.case.blocks(status) for status in BlockStatus}
    told = ", ".join(f"{number} {status.lower()}" for status, number in blocks.items() if number)
    console.print(
        f"[dim]blocks: {told or 'none'}; last sign of work: {_value(found.case.last_progress)}[/]",
        soft_wrap=True,
    )
    if found.findings:
        console.print(_findings(found.findings))
    if found.sample:
        console.print()
        console.print(_sample(found.sample))


def print_estimate(estimate: Estimate, position: int | None, console: Console) -> None:
    """Print a batch's place in the queue and its likely times, as far as they are known."""
    told = {
        "place in the queue": position,
        "begins about": estimate.start_at,
        "ends about": estimate.finish_at,
    }
    known = [f"{name}: {_value(value)}" for name, value in told.items() if value is not None]
    if known:
        console.print(f"[dim]{'; '.join(known)}[/]", soft_wrap=True)


def _findings(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(1, 2, 0, 0))
    table.add_column("FINDING", no_wrap=True)
    table.add_column("WHAT IS SO, AND WHAT TO DO", overflow="fold")
    for one in findings:
        evidence = _evidence(one.evidence)
        table.add_row(
            f"[{_COLOURS[one.severity]}]{one.category}[/]\n[dim]{one.severity.lower()}[/]",
            f"{escape(one.summary)}\n-> {escape(one.recommendation)}\n[dim]{escape(evidence)}[/]",
        )
    return table


def _evidence(evidence: Mapping[str, Value | None]) -> str:
    return ", ".join(
        f"{name}={_value(value)}" for name, value in evidence.items() if value is not None
    )


def _value(value: Value) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _sample(rows: list[RowError]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("FAILED ROW", "CATEGORY"):
        table.add_column(title, no_wrap=True)
    table.add_column("MESSAGE", overflow="fold")
    for one in rows:
        place = one.object_id or f"{one.rows} rows of {one.block_id}"
        table.add_row(escape(place), str(one.category), escape(one.message))
    return table
