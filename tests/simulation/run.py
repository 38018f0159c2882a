"""One run from its seed: faults for a while, then calm, in which all has to come to a good end."""

import asyncio
import contextlib
import gc
import logging
import random
from collections import Counter
from collections.abc import Iterator
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, cast

import beanie

from models.database import MODELS
from models.ports import simulate
from models.stored import Stored
from tests.simulation.errors import Violation
from tests.simulation.extractors import Words
from tests.simulation.loop import PROCESS, VirtualLoop, virtual_loop
from tests.simulation.messages import Messages
from tests.simulation.mongo.driver import MONGO, Mongo, build_indexes
from tests.simulation.mongo.driver import Client as MongoClient
from tests.simulation.mongo.server import Server
from tests.simulation.network import Network
from tests.simulation.nodes import EPOCH, Cluster
from tests.simulation.objects import Objects
from tests.simulation.points import Points
from tests.simulation.receiver import Receiver
from tests.simulation.scenario import Client, Tenant, draw_orders, draw_tenants

CALM_SECONDS: Final = 900.0  # virtual ones, in which everything has to end


@dataclass
class Report:
    """What became of one run."""

    seed: int
    digest: str
    seconds: float
    turns: int
    calls: int
    injected: Counter[str]
    trace: list[str] = field(default_factory=list)
    violation: str | None = None


def simulate_seed(seed: int, *, keeps: bool = False) -> Report:
    """Run one seed, and return what came of it."""
    return copy_context().run(_simulate, seed, keeps)


def _simulate(seed: int, keeps: bool) -> Report:
    chance = random.Random(seed)
    random.seed(chance.getrandbits(64))
    Words.met.clear()
    gc.disable()  # it would call finalizers at moments that no seed decides
    try:
        with virtual_loop(chance) as loop, _listening(network := Network(loop, chance, keeps)):
            violation = None
            try:
                loop.run_until_complete(_run(loop, network, chance))
            except Violation as error:
                violation = str(error)
            return Report(
                seed, network.digest, loop.now, loop.turns, network.calls, network.injected,
                network.lines, violation,
            )  # fmt: skip
    finally:
        gc.enable()


class _Log(logging.Handler):
    """Notes what the product logs; an error is something that it did not expect."""

    def __init__(self, network: Network) -> None:
        super().__init__(logging.WARNING)
        self._network = network

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record."""
        process = PROCESS.get()
        if process.alive:
            self._network.note(process, "log", record.name, record.getMessage())
            if record.levelno >= logging.ERROR:
                cause = record.exc_info[1] if record.exc_info else None
                failure = Violation(
                    f"{process.name} did not expect: {record.getMessage()}: {cause!r}"
                )
                failure.__cause__ = cause
                self._network.loop.failure = failure


@contextlib.contextmanager
def _listening(network: Network) -> Iterator[None]:
    handler = _Log(network)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


async def _run(loop: VirtualLoop, network: Network, chance: random.Random) -> None:
    simulate(lambda: EPOCH + timedelta(seconds=loop.now), chance.getrandbits)
    server = Server(lambda: EPOCH + timedelta(seconds=round(loop.now, 3)))
    MONGO.set(Mongo(server, network))
    build_indexes(server, MODELS)
    await init_models()
    cluster = Cluster(
        loop, network, server, Objects(network), Points(network), Messages(network),
        Receiver(network),
    )  # fmt: skip
    tenants = draw_tenants(chance)
    _store(server, tenants)
    orders = draw_orders(chance, tenants, 30.0)
    for name in ("api", "worker-a", "worker-b", "conductor"):
        cluster.boot(name)
    clients = [Client(cluster, order) for order in orders]
    try:
        async with asyncio.timeout(CALM_SECONDS):
            await asyncio.gather(*(client.run() for client in clients))
    except TimeoutError:
        raise Violation("not everything has ended") from None
    finally:
        for name in cluster.nodes:
            cluster.kill(name)


_models: list[object] = []


async def init_models() -> None:
    """Bind the product's document classes to the stand-in, once."""
    if not _models:
        await beanie.init_beanie(
            database=cast(Any, MongoClient().get_database("simulated")),
            document_models=list(MODELS),
            skip_indexes=True,
        )
        _models.append(MODELS)


def _store(server: Server, tenants: list[Tenant]) -> None:
    for tenant in tenants:
        for row in tenant.rows:
            kind: type[Stored] = type(row)
            server.insert(cast(Any, kind).Settings.name, [row.to_mongo()], None)
