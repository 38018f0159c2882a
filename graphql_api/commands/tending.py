"""Keeping everything up while `strata up` serves: what ends is started again."""

import os
import signal
import time
from collections.abc import Callable, Sequence

from models.embedded.child import POLL_SECONDS, Child
from models.embedded.errors import EmbeddedError
from models.embedded.servers import EmbeddedServers
from models.embedded.supervision import Backoff, Ended, Supervisor

RAY = "ray"
JOINED_TO_RAY = ("worker", "engine")
Say = Callable[[str], None]


class Tending:
    """Looked after from the main thread, a few times a second."""

    def __init__(self, servers: EmbeddedServers, processes: Sequence[Child], *, say: Say) -> None:
        self._servers = servers
        self._processes = processes
        self._say = say
        self._supervisor = Supervisor(processes, on_end=self._tell)
        self._backoff = Backoff()
        self._failures: dict[str, int] = {}
        self._due: dict[str, float] = {}

    def start(self) -> None:
        """Start the processes and wait until all are ready; failing at first is an error.

        What has started by then is for `stop`, which asks all of it at once.
        """
        for process in self._processes:
            process.launch()
        pending = list(self._processes)
        while pending := [process for process in pending if not process.is_ready()]:
            time.sleep(POLL_SECONDS)

    def look(self) -> None:
        """Start again whatever ended, each after its pause."""
        self._supervisor.tend()
        for name in self._servers.check():
            if time.monotonic() >= self._due.get(name, 0.0):
                self._revive(name)

    def everything_runs(self) -> bool:
        """Nothing has ended, or is waiting to be started again."""
        return not self._servers.check() and all(one.is_alive() for one in self._processes)

    def stop(self) -> None:
        """Ask all processes to end at once, then wait for each, the last started first."""
        _ask_to_end(list(reversed(self._processes)))
        self._supervisor.stop()

    def _tell(self, ended: Ended) -> None:
        self._say(f"{ended.error.message}; again in {ended.delay:.1f} s")

    def _revive(self, name: str) -> None:
        self._say(f"{name} ended; starting it again")
        try:
            self._servers.restart(name)
        except EmbeddedError as error:
            self._failures[name] = self._failures.get(name, 0) + 1
            delay = self._backoff.delay(self._failures[name])
            self._due[name] = time.monotonic() + delay
            self._say(f"{error.message}; again in {delay:.1f} s")
        else:
            self._failures.pop(name, None)
            if name == RAY:
                # A driver cannot join a cluster that was started anew: fresh processes can.
                _ask_to_end([one for one in self._processes if one.name in JOINED_TO_RAY])


def _ask_to_end(processes: Sequence[Child]) -> None:
    for process in processes:
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signal.SIGTERM)
