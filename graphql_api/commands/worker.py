"""`strata worker`: the control plane in this process."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from graphql_api.commands.readiness import ready_teller
from models.errors import StoreUnavailable
from models.monitor import monitored
from models.settings import load_settings

POLL_SECONDS: Final = 0.1


def run_worker(data: Path | None, *, threads: int, ready_fd: int | None) -> None:
    """Work until SIGTERM or Ctrl-C."""
    if data is not None:
        os.environ["STRATA_DATA"] = str(data)
    from workers.main import run  # reads the settings when it is imported

    threading.Thread(target=_report, args=(ready_teller(ready_fd),), daemon=True).start()
    where = load_settings().monitor
    with monitored(where.host, where.worker_port, _is_ready):
        run(threads)


def _is_ready() -> bool:
    from workers.resources import resources

    try:
        resources()
    except StoreUnavailable:
        return False
    return True


def _report(on_ready: Callable[[], None]) -> None:
    """Wait for the stores to be open: from then on messages are worked on."""
    while not _is_ready():
        time.sleep(POLL_SECONDS)
    on_ready()
