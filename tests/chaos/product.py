"""A `strata up` of its own, with short leases, in a folder that the checker may look into."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import psutil

from models.embedded.loopback import free_port

_STOP_SECONDS: Final = 60
_UP: Final = (sys.executable, "-P", "-m", "graphql_api.cli", "up", "--no-demo")
_SHORT: Final = {
    "STRATA_ENGINE__BLOCK_ROWS": "16",
    "STRATA_WORKER__SWEEP_SECONDS": "1",
}


@dataclass(frozen=True)
class Product:
    """Where it is and what it consists of."""

    base_url: str
    folder: Path
    pid: int

    @property
    def endpoints(self) -> dict[str, str]:
        """The raw addresses and credentials of every store."""
        found: dict[str, str] = json.loads((self.folder / "endpoints.json").read_text())
        return found

    def family(self) -> list[psutil.Process]:
        """Every process that belongs to it, itself left out."""
        mark = str(self.folder)
        ours = {one.pid: one for one in psutil.process_iter() if _belongs(one, mark)}
        # Some write their title over their environment.
        ours |= {one.pid: one for one in psutil.Process(self.pid).children(recursive=True)}
        return [process for pid, process in ours.items() if pid != self.pid]


@contextmanager
def running_product(folder: Path, *, lease_seconds: float) -> Iterator[Product]:
    """Start everything, wait until it serves, stop it at the end."""
    port = free_port()
    lease = str(lease_seconds)
    leases = {"STRATA_ENGINE__LEASE_SECONDS": lease, "STRATA_WORKER__LEASE_SECONDS": lease}
    ours = {name: value for name, value in os.environ.items() if not name.startswith("STRATA_")}
    with (folder / "up.log").open("w") as log:
        process = subprocess.Popen(
            [*_UP, "--port", str(port), "--data", str(folder / "data")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**ours, **_SHORT, **leases},
            start_new_session=True,
        )
        assert process.stdout is not None  # it is a pipe
        ready = threading.Event()
        reader = threading.Thread(target=_copy, args=(process.stdout, log, ready))
        reader.start()
        try:
            if not ready.wait(120):
                raise RuntimeError(f"strata up does not serve; see {log.name}")
            yield Product(f"http://127.0.0.1:{port}", folder / "data", process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            finally:
                process.kill()
                reader.join()
                process.stdout.close()


def _copy(lines: IO[str], log: IO[str], ready: threading.Event) -> None:
    for line in lines:
        log.write(line)
        log.flush()
        if line.startswith("ready"):
            ready.set()


def _belongs(process: psutil.Process, mark: str) -> bool:
    try:
        return mark in " ".join([*process.cmdline(), *process.environ().values()])
    except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
