"""The engine on Ray: resident conductors that batches are handed to; the only entrance to it.

A conductor is a detached, named actor without a CPU of its own. Ray reads its token when it is
imported, so it is imported on connecting, after the settings are known.
"""

import asyncio
import logging
import os
from typing import Any, Final

from models.errors import Misconfigured, RayUnavailable
from models.settings import RaySettings, Settings

logger = logging.getLogger(__name__)
_ANSWER_SECONDS: Final = 30.0
_RESTART_SECONDS: Final = 0.2


class RayEngine:
    """A process's connection to the cluster and to its conductors."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connected = False
        self._lost = False
        self._connecting = asyncio.Lock()

    async def connect(self) -> None:
        """Join the cluster as a driver.

        Raises:
            Misconfigured: no address is set.
            RayUnavailable: the cluster does not answer or refuses the token.
        """
        async with self._connecting:
            if self._lost:
                await asyncio.to_thread(_leave)
                self._connected = self._lost = False
            if not self._connected:
                await asyncio.to_thread(_join, self._settings.ray)
                self._connected = True

    async def hand_over(self, batch_id: str, epoch: int) -> None:
        """Give a batch to its conductor; doing it twice does nothing more.

        Raises:
            RayUnavailable: the cluster does not answer; the sweep tries again.
        """
        await self._ask(batch_id, "start", batch_id, epoch)

    async def stop(self, batch_id: str) -> None:
        """Tell a batch's conductor to drop it."""
        await self._ask(batch_id, "stop", batch_id)

    async def warm(self) -> None:
        """Make sure that every conductor lives and is warm."""
        await self.connect()
        for number in range(self._settings.engine.conductors):
            await self._call(number, "warm")

    def end_conductors(self) -> None:
        """Kill the conductors, and with them their pools."""
        import ray

        for number in range(self._settings.engine.conductors):
            try:
                ray.kill(ray.get_actor(_name(number), namespace=self._settings.ray.namespace))
            except ValueError:
                continue

    async def _ask(self, batch_id: str, method: str, *arguments: object) -> None:
        await self.connect()
        number = sum(batch_id.encode()) % self._settings.engine.conductors
        await self._call(number, method, *arguments)

    async def _call(self, number: int, method: str, *arguments: object) -> None:
        from ray.exceptions import RayError

        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._insist(number, method, *arguments)
        except (RayError, TimeoutError, ConnectionError) as error:
            logger.warning("Ray: %s of conductor %d: %s", method, number, type(error).__name__)
            self._lost = True  # the cluster may be another one by now: join again
            raise RayUnavailable(f"Ray: {method} failed: {type(error).__name__}.") from error

    async def _insist(self, number: int, method: str, *arguments: object) -> None:
        """Call until a conductor that is being restarted is there; calls may be repeated."""
        from ray.exceptions import ActorUnavailableError

        while True:
            try:
                actor = await asyncio.to_thread(_conductor, self._settings, number)
                await getattr(actor, method).remote(*arguments)
                return
            except ActorUnavailableError:
                await asyncio.sleep(_RESTART_SECONDS)


def _name(number: int) -> str:
    return f"conductor-{number}"


def _conductor(settings: Settings, number: int) -> Any:
    import ray

    from engine.conductor import Conductor

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    size = max(int(resources.get("CPU", 1)), 1)
    actor = ray.remote(Conductor).options(
        name=_name(number),
        namespace=settings.ray.namespace,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=1000,
    )
    return actor.remote(settings, size, number)


def _join(settings: RaySettings) -> None:
    if settings.address is None:
        raise Misconfigured(
            "Ray has no address.", hint="Run `strata up`, or set STRATA_RAY__ADDRESS."
        )
    if settings.token is not None:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = settings.token.get_secret_value()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.exceptions import RayError

    try:
        ray.init(
            address=settings.address,
            namespace=settings.namespace,
            log_to_driver=False,
            logging_level=logging.WARNING,
            ignore_reinit_error=True,
        )
    except (RayError, ConnectionError, RuntimeError, ValueError) as error:
        raise RayUnavailable(
            f"Ray does not answer at {settings.address}: {type(error).__name__}.",
            hint="Check STRATA_RAY__ADDRESS and STRATA_RAY__TOKEN.",
        ) from error


def _leave() -> None:
    import ray

    ray.shutdown()
