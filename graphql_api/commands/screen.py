"""What `strata up` prints: a line for each service, then where everything is."""

import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from graphql_api.demo.facts import DemoFacts

NAME_WIDTH = 12


class Screen:
    """The start-up screen; plain lines where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def title(self, version: str, data: Path) -> None:
        """Name the program and its data folder."""
        self.console.print(
            f"[bold]Strata {version}[/]  data in {escape(str(data))}", soft_wrap=True
        )

    def up(self, name: str, seconds: float) -> None:
        """One service answers."""
        self.console.print(f"  [green]up[/]  {name:<{NAME_WIDTH}}{seconds:6.1f} s")

    def given(self, name: str, setting: str) -> None:
        """One service is somebody else's."""
        self.console.print(f"  --  {name:<{NAME_WIDTH}}as set by {setting}")

    def note(self, text: str) -> None:
        """Something happened while serving."""
        self.console.print(f"  [yellow]--[/]  {escape(text)}", soft_wrap=True)

    def say(self, text: str) -> None:
        """A line of its own."""
        self.console.print(escape(text), soft_wrap=True)

    def ready(self, address: str, data: Path, facts: DemoFacts | None) -> None:
        """Everything serves. Scripts wait for the first word."""
        self.console.print(f"\n[bold green]ready[/] after {self.elapsed:.1f} s\n")
        key = facts.apiKey if facts else f"none yet; the admin key is in {data / 'endpoints.json'}"
        lines = {
            "GraphiQL": f"{address}/graphiql",
            "Status page": f"{address}/console",
            "API": f"{address}/graphql",
            "API key": key,
            "Data folder": str(data),
            "Logs": str(data / "logs"),
            "To stop": "Ctrl-C",
        }
        for name, value in lines.items():
            self.console.print(f"  {name:<{NAME_WIDTH}}[cyan]{escape(value)}[/]", soft_wrap=True)
