"""Where commands write to, and how a failure reads there."""

import os

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from models.errors import Misconfigured, StrataError

PLAIN_WIDTH = 120  # of a file or a pipe, which has none of its own


def open_console(*, errors: bool = False) -> Console:
    """Return a console; to a file or a pipe it writes plain lines."""
    console = Console(stderr=errors, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PLAIN_WIDTH
    return console


def show_failure(error: StrataError) -> None:
    """Print what went wrong, its stable code, and what to do."""
    console = open_console(errors=True)
    console.print(f"[bold red]error[/] {error.code}: {escape(error.message)}", soft_wrap=True)
    if error.hint:
        console.print(escape(error.hint), soft_wrap=True)
    if tail := getattr(error, "log_tail", ""):
        console.print(f"[dim]{escape(tail)}[/]", soft_wrap=True)


def invalid_settings(error: ValidationError) -> Misconfigured:
    """Name the variables that hold something else than they should."""
    wrong = [
        f"STRATA_{'__'.join(map(str, one['loc'])).upper()}: {one['msg']}"
        for one in error.errors(include_url=False)
    ]
    return Misconfigured("; ".join(wrong), hint="Correct or unset it in the environment.")
