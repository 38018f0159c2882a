"""How far the batch is, drawn from the frames of the subscription and from nothing else.

A terminal gets a bar; a file or a pipe gets a line now and then, without control codes.
"""

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

from graphql_api.demo.frames import Frame

LINE_SECONDS: Final = 5.0


class BatchProgress:
    """Shows one batch while it runs, and what it came to."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started: float | None = None
        self._documents_before = 0
        self._last_line = 0.0
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[told]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("submitted", total=None, told="")

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self._bar.stop()

    def show(self, frame: Frame) -> None:
        """Draw a frame."""
        if self._started is None:
            self._started, self._documents_before = time.monotonic(), frame.documents
        told = self._told(frame)
        # Percent counts blocks: rows of the later tier are not known before its blocks are cut.
        self._bar.update(
            self._task,
            description=frame.status.lower(),
            completed=frame.percent,
            total=100 if frame.percent else None,
            told=told,
        )
        if not self._console.is_terminal:
            self._print_now_and_then(frame, told)

    def summary(self, frame: Frame) -> str:
        """Say what an ended batch came to."""
        return f"{frame.status}: {frame.documents:,} documents in {self._elapsed():.1f} s" + (
            f", {self._rate(frame):,.0f} documents/s" if self._rate(frame) else ""
        )

    def _told(self, frame: Frame) -> str:
        parts = [
            f"{frame.documents:,} documents",
            f"{self._rate(frame):,.0f}/s",
            f"{frame.rows:,} rows",
        ]
        if frame.seconds_left is not None:
            parts.append(f"{_clock(frame.seconds_left)} left")
        if frame.failed_rows:
            parts.append(f"{frame.failed_rows:,} failed")
        return "  ".join(parts)

    def _print_now_and_then(self, frame: Frame, told: str) -> None:
        now = time.monotonic()
        if now - self._last_line >= LINE_SECONDS or frame.ended:
            self._last_line = now
            self._console.print(
                f"  {frame.status.lower()} {frame.percent:5.1f} %  {told}", soft_wrap=True
            )

    def _rate(self, frame: Frame) -> float:
        elapsed = self._elapsed()
        return (frame.documents - self._documents_before) / elapsed if elapsed > 0.5 else 0.0

    def _elapsed(self) -> float:
        return time.monotonic() - self._started if self._started is not None else 0.0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
