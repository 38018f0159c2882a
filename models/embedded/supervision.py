"""Keeping children alive: one that ends is started again, later and later if it keeps ending.

For the processes of Strata itself under `strata up`; the caller asks from its own loop, on the main
thread, a few times a second, and nothing here ever waits for a child that is coming up.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from models.embedded.child import POLL_SECONDS, Child
from models.embedded.errors import StartFailed


@dataclass(frozen=True)
class Backoff:
    """How long to leave a child that ended, in seconds."""

    first: float = 0.5
    longest: float = 30.0
    forgiven_after: float = 60.0  # up for so long, it starts again from `first`

    def delay(self, failures: int) -> float:
        """Doubled with each failure in a row."""
        return float(min(self.longest, self.first * 2 ** (failures - 1)))


@dataclass(frozen=True)
class Ended:
    """A child went down by itself, and when it will be back."""

    name: str
    error: StartFailed
    delay: float


class Supervisor:
    """Several children, started in the order given and stopped in reverse."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        backoff: Backoff | None = None,
        on_end: Callable[[Ended], None] | None = None,
    ) -> None:
        self._watches = [_Watch(child, backoff or Backoff()) for child in children]
        self._on_end = on_end or (lambda _: None)

    def start(self) -> None:
        """All at once, until all answer; a child that fails its first start is an error."""
        try:
            self._launch_all()
        except BaseException:
            self.stop()
            raise

    def tend(self) -> None:
        """Notice who ended, and start again whose time has come."""
        for watch in self._watches:
            if ended := watch.tend():
                self._on_end(ended)

    def stop(self) -> None:
        """End all, the last started first."""
        with ExitStack() as ending:
            for watch in self._watches:
                ending.callback(watch.child.stop)

    def _launch_all(self) -> None:
        for watch in self._watches:
            watch.child.launch()
        pending = [watch.child for watch in self._watches]
        while pending := [child for child in pending if not child.is_ready()]:
            time.sleep(POLL_SECONDS)


class _Watch:
    """One child's history."""

    def __init__(self, child: Child, backoff: Backoff) -> None:
        self.child = child
        self._backoff = backoff
        self._failures = 0
        self._coming_up = False
        self._due: float | None = None  # when to start it again

    def tend(self) -> Ended | None:
        if self._due is not None:
            self._start_when_due(self._due)
            return None
        try:
            self._look()
        except StartFailed as error:
            return self._put_off(error)
        return None

    def _look(self) -> None:
        """Only a child that is coming up is asked; later a slow answer must not be its end."""
        if self._coming_up:
            self._coming_up = not self.child.is_ready()
        elif not self.child.is_alive():
            raise self.child.failure(f"{self.child.name} ended with code {self.child.exit_code}")
        if self.child.age > self._backoff.forgiven_after:
            self._failures = 0

    def _put_off(self, error: StartFailed) -> Ended:
        self.child.stop()
        self._failures += 1
        delay = self._backoff.delay(self._failures)
        self._due = time.monotonic() + delay
        return Ended(self.child.name, error, delay)

    def _start_when_due(self, due: float) -> None:
        if time.monotonic() >= due:
            self._due = None
            self._coming_up = True
            self.child.launch()
