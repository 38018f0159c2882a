"""One run from its seed: faults for a while, then calm, in which all has to come to a good end."""

import asyncio
import contextlib
import gc
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, cast

import beanie
from pymongo.errors import PyMongoError

from models.database import MODELS
from models.errors import StrataError
from models.ports import simulate
from models.stored import Stored
from tests.simulation.checker import Checker
from tests.simulation.errors import Violation
from tests.simulation.extractors import Words, in_the_catalog
from tests.simulation.loop import PROCESS, VirtualLoop, virtual_loop
from tests.simulation.messages import Messages
from tests.simulation.mongo.driver import Client as MongoClient
from tests.simulation.mongo.driver import build_indexes
from tests.simulation.mongo.server import Server
from tests.simulation.mongo.sessions import MONGO, Mongo
from tests.simulation.nemesis import PROCESSES, Nemesis
from tests.simulation.network import Network
from tests.simulation.nodes import EPOCH, Cluster, draw_settings
from tests.simulation.objects import Objects
from tests.simulation.outcome import is_as_expected, require_outcome
from tests.simulation.points import Points
from tests.simulation.receiver import Receiver
from tests.simulation.scenario import Client, Tenant, draw_orders, draw_tenants

MAX_FAULT_SECONDS: Final = 90.0  # virtual ones, as all are
END_SECONDS: Final = 600.0  # after the faults, until every batch has ended
TOLD_SECONDS: Final = 3600.0  # until the webhooks, which wait half an hour after a third failure
_EXPECTED: Final = (PyMongoError, StrataError)  # to be met while stores are away
_RETRIES: Final = 3


@dataclass
class Report:
    """What became of one run."""

    seed: int
    digest: str
    seconds: float
    turns: int
    calls: int
    injected: Counter[str]
    events: Counter[str]  # that were written down, by type
    trace: list[str] = field(default_factory=list)
    violation: str | None = None


def simulate_seed(seed: int, *, keeps: bool = False, faults: bool = True) -> Report:
    """Run one seed, and return what came of it."""
    return copy_context().run(_simulate, seed, keeps, faults)


def _simulate(seed: int, keeps: bool, faults: bool) -> Report:
    chance = random.Random(seed)
    random.seed(chance.getrandbits(64))
    Words.met.clear()
    gc.disable()  # it would call finalizers at moments that no seed decides
    try:
        with (
            in_the_catalog(),
            virtual_loop(chance) as loop,
            _listening(network := Network(loop, chance, keeps)),
        ):
            violation, events = None, Counter[str]()
            try:
                loop.run_until_complete(_run(loop, network, chance, faults, events))
            except Violation as error:
                violation = str(error)
            finally:
                loop.kill_all()
            return Report(
                seed, network.digest, loop.now, loop.turns, network.calls, network.injected,
                events, network.lines, violation,
            )  # fmt: skip
    finally:
        gc.enable()
        gc.collect()


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
            cause = record.exc_info[1] if record.exc_info else None
            if record.levelno >= logging.ERROR and not isinstance(cause, _EXPECTED):
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


async def _run(
    loop: VirtualLoop, network: Network, chance: random.Random, faults: bool, events: Counter[str]
) -> None:
    simulate(lambda: EPOCH + timedelta(seconds=loop.now), chance.getrandbits)
    server = Server(lambda: EPOCH + timedelta(seconds=round(loop.now, 3)))
    MONGO.set(Mongo(server, network))
    build_indexes(server, MODELS)
    await init_models()
    cluster = Cluster(
        loop, network, server, Objects(network), Points(network), Messages(network),
        Receiver(network), draw_settings(chance),
    )  # fmt: skip
    tenants = draw_tenants(chance)
    _store(server, tenants)
    checker = Checker(
        server, cluster.objects, cluster.receiver, server.clock, cluster.settings.quotas
    )
    network.after_effect = checker.look
    seconds = chance.uniform(20, MAX_FAULT_SECONDS)
    orders = draw_orders(chance, tenants, seconds)
    for name in PROCESSES:
        cluster.boot(name)
    clients = [Client(cluster, order) for order in orders]
    begun = [asyncio.create_task(client.run()) for client in clients]
    if faults:
        await Nemesis(cluster, chance, checker.harmed).rage(seconds)
    await _within("all batches end", asyncio.gather(*begun), END_SECONDS)
    await _within("what failed is made good", _make_good(server, clients), END_SECONDS)
    await _within("everybody is told", _quiet(checker), TOLD_SECONDS)
    events.update(row.value["type"] for row in server.table("events").rows.values())
    checker.require_rest()
    require_outcome(server, cluster.points, cluster.receiver, tenants, orders)


async def _within(what: str, doing: Awaitable[object], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await doing
    except TimeoutError:
        raise Violation(f"liveness: {what} did not come true in {seconds:.0f} s") from None


async def _make_good(server: Server, clients: Sequence[Client]) -> None:
    """Do what people do when something is back: try again what failed of its absence."""
    for client in clients:
        for number in range(_RETRIES):
            if client.order.canceled or is_as_expected(server, client.order):
                break
            await client.retry_all(f"late {number}")
            await client.ended()


async def _quiet(checker: Checker) -> None:
    while not checker.is_quiet():
        await asyncio.sleep(1.0)


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
