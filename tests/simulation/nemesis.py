"""What goes wrong in a run: rates of lost and late calls, and processes and servers that fail."""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from tests.simulation.harm import harm_batch
from tests.simulation.network import Faults
from tests.simulation.nodes import Cluster

PROCESSES: Final = ("api", "worker-a", "worker-b", "conductor")
_SERVICES: Final = ("mongo", "s3", "qdrant", "redis", "ray", "receiver")
_PAUSE_SECONDS: Final = 6.0  # between two strikes, on average
_DEAD_SECONDS: Final = 12.0  # at most
_STOPPED_SECONDS: Final = 50.0  # longer than a lease
_DOWN_SECONDS: Final = 15.0
_HARMS: Final = 0.2  # of the runs: what heals waits for two quiet minutes


def draw_faults(chance: random.Random) -> Faults:
    """Return rates, of which each is nothing in some runs."""

    def rate(most: float) -> float:
        return chance.random() * most if chance.random() < 0.7 else 0.0

    return Faults(
        lost_before=rate(0.04),
        lost_after=rate(0.04),
        slow=rate(0.03),
        slow_seconds=chance.choice((0.5, 5.0, 40.0)),
        message_lost=chance.choice((0.0, 0.2, 0.5, 1.0)),
        message_doubled=rate(0.5),
        message_late_seconds=chance.choice((0.0, 1.0, 30.0)),
        extractor_dies=rate(0.2),
        extractor_hangs=rate(0.05),
        receiver_fails=rate(0.1),
    )


class Nemesis:
    """Strikes until it is told to stop, then mends everything."""

    def __init__(self, cluster: Cluster, chance: random.Random, harmed: set[str]) -> None:
        self._cluster = cluster
        self._harmed = harmed
        self._chance = chance
        self._mending: set[asyncio.Task[None]] = set()

    async def rage(self, seconds: float) -> None:
        """Let things go wrong for a while."""
        loop = asyncio.get_running_loop()
        self._cluster.network.faults = draw_faults(self._chance)
        end = loop.time() + seconds
        strikes = [self._kill, self._kill, self._stop, self._cut, self._wipe]
        if self._chance.random() < _HARMS:
            strikes += [self._harm] * 3
        while (pause := self._chance.expovariate(1 / _PAUSE_SECONDS)) < end - loop.time():
            await asyncio.sleep(pause)
            self._chance.choice(strikes)()
        await asyncio.sleep(max(0.0, end - loop.time()))
        await self._mend()

    async def _mend(self) -> None:
        network = self._cluster.network
        network.faults = Faults()
        network.down.clear()
        for task in tuple(self._mending):
            task.cancel()
        for name in PROCESSES:
            self._restart(name)
            self._cluster.loop.resume(self._cluster.nodes[name].process)

    def _kill(self) -> None:
        name = self._chance.choice(PROCESSES)
        if self._cluster.nodes[name].process.alive:
            self._note(f"kill {name}")
            self._cluster.kill(name)
            self._later(_DEAD_SECONDS, lambda: self._restart(name))

    def _stop(self) -> None:
        name = self._chance.choice(PROCESSES)
        process = self._cluster.nodes[name].process
        if process.alive and not process.stopped:
            self._note(f"stop {name}")
            self._cluster.loop.stop_process(process)
            self._later(_STOPPED_SECONDS, lambda: self._cluster.loop.resume(process))

    def _cut(self) -> None:
        service = self._chance.choice(_SERVICES)
        self._note(f"cut {service}")
        self._cluster.network.down.add(service)
        self._later(_DOWN_SECONDS, lambda: self._cluster.network.down.discard(service))

    def _wipe(self) -> None:
        self._note("wipe redis")
        self._cluster.messages.wipe()

    def _harm(self) -> None:
        if (done := harm_batch(self._cluster.server, self._chance)) is not None:
            damage, batch_id = done
            self._harmed.add(batch_id)
            self._note(f"harm {damage} {batch_id}")

    def _restart(self, name: str) -> None:
        if not self._cluster.nodes[name].process.alive:
            self._cluster.boot(name)

    def _later(self, most: float, act: Callable[[], object]) -> None:
        async def do() -> None:
            await asyncio.sleep(self._chance.random() * most)
            act()

        task = asyncio.create_task(do())
        self._mending.add(task)
        task.add_done_callback(self._mending.discard)

    def _note(self, strike: str) -> None:
        network = self._cluster.network
        network.injected[strike.split(" ")[0] + " " + strike.split(" ")[1].split("-")[0]] += 1
        network.note(self._cluster.nodes["api"].process, "nemesis", strike, "done")
