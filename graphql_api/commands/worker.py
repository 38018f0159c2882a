"""`strata worker`: the control plane in this process."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from graphql_api.commands.readiness import ready_teller
from models.errors import StoreUnavailable

POLL_SECONDS: Final = 0.1


def run_worker(data: Path | None, *, threads: int, ready_fd: int | None) -> None:
    """Work until SIGTERM or Ctrl-C."""
    if data is not None:
        os.environ["STRATA_DATA"] = str(data)
    from workers.main import run  # reads the settings when it is imported

    threading.Thread(target=_report, args=(ready_teller(ready_fd),), daemon=True).start()
    run(threads)


def _report(on_ready: Callable[[], None]) -> None:
    """Wait for the stores to be open: from then on messages are worked on."""
    from workers.resources import resources

    while True:
        try:
            resources()
        except StoreUnavailable:
            time.sleep(POLL_SECONDS)
        else:
            return on_ready()
