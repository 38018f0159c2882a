"""`strata extractors list`: each with where it comes from, and whether it can run here."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.availability import Readiness, examine
from engine.catalog import is_builtin, labels
from engine.plugins import allow_plugins, find_plugin, installed_plugins, packages_offering
from models.errors import ExtractorUnavailable
from models.settings import Settings


def list_extractors(settings: Settings, console: Console) -> None:
    """Print a line for each extractor; of one that lacks something, what to do below it."""
    allow_plugins(settings.extractors.plugins)
    table = Table(box=None, pad_edge=False)
    for title in ("NAME", "VERSION", "ORIGIN", "STATUS"):
        table.add_column(title, overflow="fold", no_wrap=title != "STATUS")
    for label in labels():
        found = examine(label, settings.cache, settings.embeddings)
        table.add_row(*label.split("@", 1), _origin(label), _status(found))
    for label in sorted(installed_plugins().keys() - labels()):
        row = (*f"{label}@".split("@")[:2], packages_offering(label))
        table.add_row(*map(escape, row), "[yellow]not allowed[/]")
    console.print(table)


def _origin(label: str) -> str:
    if is_builtin(label):
        return "built-in"
    try:
        return escape(find_plugin(label).package)
    except ExtractorUnavailable:
        return "plug-in"


def _status(found: Readiness) -> str:
    if found.lacks is None:
        return "[green]available[/]"
    remedy = f"\n-> {escape(found.lacks.hint)}" if found.lacks.hint else ""
    return f"[yellow]{escape(found.lacks.message)}[/]{remedy}"
