"""A running product for a benchmark: `strata up` in a folder of its own, stopped afterwards."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.embedded.loopback import free_port

_STOP_SECONDS: Final = 30


@dataclass(frozen=True)
class Product:
    """Where it is."""

    base_url: str
    admin_key: str
    data: Path  # its folder: `load_settings` finds the servers there
    process: int  # the parent of every other process of the product


@contextmanager
def running_product(**settings: str) -> Iterator[Product]:
    """Start everything, wait until it serves, stop it at the end; settings are variables."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="strata-bench-") as folder:
        command = [sys.executable, "-P", "-m", "graphql_api.cli", "up", "--no-demo"]
        process = subprocess.Popen(
            [*command, "--port", str(port), "--data", folder],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **settings},
        )
        try:
            _await_ready(process)
            endpoints = json.loads((Path(folder) / "endpoints.json").read_text())
            yield Product(
                f"http://127.0.0.1:{port}",
                endpoints["STRATA_ADMIN_KEY"],
                Path(folder),
                process.pid,
            )
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=_STOP_SECONDS)


def _await_ready(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None  # it is a pipe
    for line in process.stdout:
        if line.startswith("ready"):
            return
    raise RuntimeError(f"strata up ended with code {process.wait()}")
