"""One child process: started, waited for, watched, stopped. What it runs is its caller's affair.

Not for threads: a child dies with the *thread* that started it, so only the main thread may.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.embedded import launcher
from models.embedded.errors import StartFailed
from models.embedded.folder import DataFolder, Entry
from models.embedded.log_file import cap_log, log_tail, open_log
from models.embedded.loopback import bypass_proxies
from models.embedded.sessions import MARK, family, kill_all, started_at

POLL_SECONDS = 0.05
KERNEL_TELLS = sys.platform == "linux"  # of a parent's death; elsewhere the launcher must watch


@dataclass(frozen=True)
class Command:
    """What to run, and with what."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)  # on top of ours
    without: frozenset[str] = frozenset()  # variables of ours that the child must not see
    descriptors: tuple[int, ...] = ()  # that the child keeps open
    scratch: Path | None = None  # a folder elsewhere that goes with the child


class Child:
    """A named child with a log, a line in the data folder's list, and a way to ask it."""

    def __init__(
        self,
        name: str,
        command: Command,
        *,
        folder: DataFolder,
        probe: Callable[[], bool],
        start_timeout: float = 30.0,
        stop_timeout: float = 15.0,
    ) -> None:
        self.name = name
        self.command = command
        self.log = folder.logs / f"{name}.log"
        self._folder = folder
        self._probe = probe
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: int | None = None
        self._launched = 0.0
        self._awaited_since: float | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The number of the running child."""
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """Of a child that ended by itself; None while it runs and before it ran."""
        return self._process.poll() if self._process else None

    @property
    def age(self) -> float:
        """Seconds since it was launched."""
        return time.monotonic() - self._launched

    def launch(self) -> None:
        """Start it and return at once."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("children are started from the main thread")
        self.stop()
        self._launched = time.monotonic()
        self._awaited_since = None
        with open_log(self.log) as log:
            self._log_start = log.tell()
            self._process = self._spawn(log.fileno())
        started = started_at(self._process.pid) or time.time()
        scratch = str(self.command.scratch) if self.command.scratch else None
        self._folder.remember(self.name, Entry(self._process.pid, started, scratch))

    def is_alive(self) -> bool:
        """It runs; also the moment to keep its log short."""
        cap_log(self.log)
        return self._process is not None and self._process.poll() is None

    def is_ready(self) -> bool:
        """It runs *and* answers: somebody else might, on its port. Raises when it never will."""
        if not self.is_alive():
            raise self.failure(f"{self.name} ended with code {self.exit_code}")
        if self._probe():
            return self.is_alive()
        # Counted from the first question: who launches early may come back late.
        self._awaited_since = self._awaited_since or time.monotonic()
        if time.monotonic() - self._awaited_since > self._start_timeout:
            raise self.failure(f"{self.name} did not answer within {self._start_timeout:.0f} s")
        return False

    def await_ready(self) -> None:
        """Wait until it answers."""
        while not self.is_ready():
            time.sleep(POLL_SECONDS)

    def failure(self, what: str, *, hint: str = "") -> StartFailed:
        """An error that carries the child's last words of this run."""
        tail = log_tail(self.log, self._log_start)
        return StartFailed(what, hint=hint or f"Its log is {self.log}", log_tail=tail)

    def stop(self) -> None:
        """SIGTERM to the child, then SIGKILL to whatever of its family is left."""
        if self._process is None:
            return
        relatives = family(self._process.pid)
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(self._stop_timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        kill_all({*relatives, *family(self._process.pid)})
        self._forget()

    def _forget(self) -> None:
        self._process = None
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        self._folder.forget(self.name)

    def _spawn(self, log: int) -> subprocess.Popen[bytes]:
        kept = self.command.descriptors
        watched = -1
        if not KERNEL_TELLS:
            watched, self._pipe = os.pipe()
            kept = (*kept, watched)
        start = [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), str(watched)]
        try:
            return subprocess.Popen(
                [*start, *self.command.argv],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=kept,
                start_new_session=True,  # Ctrl-C is the supervisor's; it stops them in order
            )
        finally:
            if watched >= 0:
                os.close(watched)

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if k not in self.command.without}
        environment = {**inherited, **self.command.environment, MARK: str(self._folder.path)}
        bypass_proxies(environment)
        return environment
