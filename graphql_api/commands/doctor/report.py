"""The examination as a whole, and its table."""

import asyncio
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.plugins import allow_plugins
from graphql_api.commands.doctor.findings import Finding, Level, examine
from graphql_api.commands.doctor.machine import machine_checks
from graphql_api.commands.doctor.plugins import plugin_checks
from graphql_api.commands.doctor.sealing import sealing_checks
from graphql_api.commands.doctor.servers import server_checks
from graphql_api.commands.terminal import open_console
from models.embedded.loopback import bypass_proxies
from models.settings import Settings

STYLES: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "bold red"}


def run_doctor(settings: Settings, *, port: int) -> bool:
    """Print what was found; False when something must be mended."""
    bypass_proxies()
    console = open_console()
    with console.status("Examining"):
        findings = asyncio.run(examine_all(settings, port=port))
    show_findings(findings, console)
    return not any(finding.level is Level.ERROR for finding in findings)


async def examine_all(settings: Settings, *, port: int) -> list[Finding]:
    """Check everything, one after the other: they would compete for the same few cores."""
    allow_plugins(settings.extractors.plugins)
    checks = [
        *machine_checks(settings, port=port),
        *plugin_checks(settings),
        *sealing_checks(settings),
        *server_checks(settings),
    ]
    return [await examine(check) for check in checks]


def show_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print a line for each, and below what is wrong how to mend it."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for finding in findings:
        style = STYLES[finding.level]
        table.add_row(f"[{style}]{finding.level.value}[/]", finding.subject, escape(finding.found))
        if finding.remedy:
            table.add_row("", "", f"[{style}]->[/] {escape(finding.remedy)}")
    console.print(table)
    wrong = sum(finding.level is Level.ERROR for finding in findings)
    console.print(f"\n{wrong} to mend." if wrong else "\nNothing to mend.")
