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

_LOOK_UP_MS: Final = 1000  # of a thread without work, whether it is to stop

_settings = load_settings()
allow_plugins(_settings.extractors.plugins)
broker.add_middleware(OpenResources(_settings))


def run(threads: int = 4) -> None:
    """Work until SIGTERM or SIGINT, then finish what is running."""
    os.environ.setdefault("dramatiq_queue_prefetch", "1")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    worker = Worker(broker, worker_threads=threads, worker_timeout=_LOOK_UP_MS)
    worker.start()
    try:
        while not stop.wait(1.0):
            pass
    finally:
        worker.stop(timeout=10_000)
        broker.close()
