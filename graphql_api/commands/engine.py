"""`strata engine`: keeps the conductors on Ray alive and warm; the work is done over there."""

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Final

from engine.ray_runner import RayEngine
from models import metrics
from models.errors import RayUnavailable
from models.monitor import monitored
from models.settings import Settings

logger = logging.getLogger(__name__)
WARM_SECONDS: Final = 5.0
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 15.0
# A driver cannot join a cluster that was started anew: after so many failures in a row the process
# ends with an error, and whoever supervises it starts a fresh one.
FAILURES_ALLOWED: Final = 3


async def run_engine(settings: Settings, *, on_ready: Callable[[], None]) -> None:
    """Watch over the conductors until SIGTERM or Ctrl-C, then end them.

    Raises:
        RayUnavailable: the cluster was there and went away.
    """
    where = settings.monitor
    with monitored(where.host, where.engine_port, _is_warm):
        await _run(RayEngine(settings), on_ready)


async def _run(engine: RayEngine, on_ready: Callable[[], None]) -> None:
    connecting = asyncio.create_task(_connect(engine))
    if not await _finished(connecting):
        return  # nothing of ours is on the cluster
    if not await _finished(asyncio.create_task(_keep_warm(engine, on_ready))):
        await asyncio.to_thread(engine.end_conductors)


def _is_warm() -> bool:
    return bool(metrics.WARM._value.get())


async def _finished(work: asyncio.Task[None]) -> bool:
    """Wait for work that a signal may end; False when one did."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return False
    return True


async def _connect(engine: RayEngine) -> None:
    pause = FIRST_PAUSE
    while True:
        try:
            return await engine.connect()
        except RayUnavailable as error:
            logger.warning("%s Again in %.1f s.", error.message, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


async def _keep_warm(engine: RayEngine, on_ready: Callable[[], None]) -> None:
    failures = 0
    while failures < FAILURES_ALLOWED:
        try:
            await engine.warm()
        except RayUnavailable as error:
            failures += 1
            metrics.WARM.set(0)
            logger.warning("%s", error.message)
        else:
            failures = 0
            metrics.WARM.set(1)
            on_ready()
        await asyncio.sleep(WARM_SECONDS)
    raise RayUnavailable("The Ray cluster went away.", hint="Start the engine again.")
