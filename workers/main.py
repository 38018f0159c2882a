"""Entrance of a worker process: `dramatiq workers.main`, or `strata worker`."""

import os
import signal
import threading
from typing import Final

from dramatiq import Worker

from engine.plugins import allow_plugins
from models.settings import load_settings
from workers.actors import batches, caches, webhooks  # noqa: F401  # declares the actors
from workers.broker import broker
from workers.resources import OpenResources

# A consumer that waited in vain sleeps up to this long before it waits again.
_PAUSE_MS: Final = 100

_settings = load_settings()
allow_plugins(_settings.extractors.plugins)
broker.add_middleware(OpenResources(_settings))


def run(threads: int = 4) -> None:
    """Work until SIGTERM or SIGINT, then finish what is running."""
    os.environ.setdefault("dramatiq_queue_prefetch", "1")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    worker = Worker(broker, worker_threads=threads, worker_timeout=_PAUSE_MS)
    worker.start()
    try:
        while not stop.wait(1.0):
            pass
    finally:
        worker.stop(timeout=10_000)
        broker.close()
