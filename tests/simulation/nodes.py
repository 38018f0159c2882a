"""The product's processes: API, workers and the conductor, each with stores of its own.

What runs in them is the product's code from the API's plain functions down; what it speaks to is
simulated. Each has a clock of its own, a little wrong.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar, cast

from pydantic import SecretStr

from engine.conductor import Conductor
from engine.inputs import InputReader
from engine.slots import Slots
from models.artifacts import ArtifactStore
from models.bus import Bus
from models.database import Database
from models.ending import until_first_fails
from models.errors import RayUnavailable
from models.ids import new_id
from models.ports import simulate
from models.settings import (
    EngineSettings,
    MongoSettings,
    QdrantSettings,
    QuotaSettings,
    RedisSettings,
    S3Settings,
    Settings,
)
from models.stores import Stores
from models.vectors import VectorStore
from tests.simulation.extractors import SimulatedPools
from tests.simulation.loop import PROCESS, Process, VirtualLoop
from tests.simulation.messages import Connection, Messages
from tests.simulation.mongo.driver import Client
from tests.simulation.mongo.server import Server
from tests.simulation.network import Network
from tests.simulation.objects import Objects
from tests.simulation.points import Points
from tests.simulation.receiver import Receiver
from workers.couriers import Couriers
from workers.events import Readers
from workers.outbox import listen_to_log, sweep_outbox_forever
from workers.sweeps import listen, look, sweep_forever
from workers.tasks import run_tasks_forever

T = TypeVar("T")
logger = logging.getLogger(__name__)
_REOPEN_SECONDS: Final = 1.0
EPOCH: Final = datetime(2030, 1, 1, tzinfo=UTC)
SKEW_SECONDS: Final = 0.5  # either way
ANSWER_SECONDS: Final = 10.0  # that a client waits for the API
BLOCK_ROWS: Final = 2
SETTINGS: Final = Settings(
    mongo=MongoSettings(url="mongodb://simulated"),
    redis=RedisSettings(url="redis://simulated"),
    s3=S3Settings(endpoint_url="http://simulated"),
    qdrant=QdrantSettings(url="http://simulated"),
    engine=EngineSettings(block_rows=BLOCK_ROWS),
    sealing_keys=SecretStr("a-key-of-the-simulation-and-nobody-else"),
)


def draw_settings(chance: random.Random) -> Settings:
    """Return the settings of a run: what a namespace may have at once, if there is a limit."""
    quotas = QuotaSettings(
        processing_batches=chance.choice((None, None, 1, 2)),
        blocks_in_flight=chance.choice((None, None, 1, 3)),
    )
    return SETTINGS.model_copy(update={"quotas": quotas})


@dataclass
class Cluster:
    """Every server and process of one simulated deployment."""

    loop: VirtualLoop
    network: Network
    server: Server
    objects: Objects
    points: Points
    messages: Messages
    receiver: Receiver
    settings: Settings = SETTINGS
    nodes: dict[str, "Node"] = field(default_factory=dict)

    def boot(self, name: str) -> "Node":
        """Start a process; one of this name must not be running."""
        kind = {"api": Api, "conductor": ConductorNode}.get(name, Worker)
        node = self.nodes[name] = kind(self, name)
        node.start()
        return node

    def kill(self, name: str) -> None:
        """Kill a process with all that it remembers."""
        self.loop.kill(self.nodes[name].process)

    def ring(self, batch_id: str) -> None:
        """Send a doorbell by way of the queue; any worker may take it."""

        def take() -> None:
            workers = [one for one in self.nodes.values() if isinstance(one, Worker)]
            living = [one for one in workers if one.process.alive]
            if living:
                self.network.chance.choice(living).dispatch(batch_id)

        self.network.send(take, "doorbell")


class Node:
    """One process."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.process = Process(name)
        self.context: Context = copy_context()
        self.context.run(PROCESS.set, self.process)
        chance = cluster.network.chance
        skew = timedelta(seconds=chance.uniform(-SKEW_SECONDS, SKEW_SECONDS))
        self.context.run(
            simulate,
            lambda: EPOCH + skew + timedelta(seconds=cluster.loop.now),
            chance.getrandbits,
        )
        self.stores: Stores = self.context.run(self._open)

    def _open(self) -> Stores:
        cluster = self.cluster
        bus = Bus(cluster.settings.redis)
        connection = Connection(cluster.messages)
        bus.redis = cast(Any, connection)
        bus._pubsub = cast(Any, connection.pubsub())
        return Stores(
            cluster.settings,
            Database(cast(Any, Client()), "simulated"),
            bus,
            ArtifactStore(cast(Any, cluster.objects), cluster.settings.s3),
            VectorStore(
                cast(Any, cluster.points), cast(Any, cluster.points), cluster.settings.qdrant
            ),
            cast(Any, cluster.receiver),
            cast(Any, None),  # answers: nobody asks for any
        )

    def start(self) -> None:
        """Begin what this process does by itself."""

    def run(self, work: Callable[[], Any]) -> "asyncio.Task[Any]":
        """Start a task in this process."""
        task: asyncio.Task[Any] = self.cluster.loop.spawn(self.context, work)
        return task


class Api(Node):
    """Answers clients, as long as it lives."""

    async def ask(self, work: Callable[[Stores], Awaitable[T]]) -> T:
        """Have something done by the API.

        Raises:
            TimeoutError: no answer came; it may have been done all the same.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def respond() -> None:
            try:
                done = await work(self.stores)
            except Exception as error:
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(done)

        self.run(respond)
        return await asyncio.wait_for(answer, ANSWER_SECONDS)


class Worker(Node):
    """Sweeps, listens and delivers."""

    def start(self) -> None:
        """Begin all loops of a worker."""
        self._engine = Engine(self.cluster)
        self.run(self._stay_at_work)

    async def _stay_at_work(self) -> None:
        while True:
            try:
                await self._work()
            except Exception:
                logger.exception("The worker begins again")
            await asyncio.sleep(_REOPEN_SECONDS)

    async def _work(self) -> None:
        stores = self.stores
        couriers = Couriers(stores)
        readers = Readers(couriers.wake)
        await until_first_fails(
            asyncio.create_task(sweep_forever(stores, self._engine)),
            asyncio.create_task(listen(stores, self._engine)),
            asyncio.create_task(run_tasks_forever(stores)),
            asyncio.create_task(listen_to_log(stores, readers)),
            asyncio.create_task(sweep_outbox_forever(stores, couriers, readers)),
        )

    def dispatch(self, batch_id: str) -> None:
        """Do what the actor does that takes the doorbell."""
        self.run(partial(look, self.stores, self._engine, batch_id))


class SimulatedConductor(Conductor):
    """The product's conductor, but for what it opens when it begins."""

    def __init__(self, node: Node) -> None:
        self._settings = settings = node.stores.settings
        self._owner = new_id("sub")
        self._pools = cast(Any, SimulatedPools(node.cluster.network))
        self._slots = Slots(settings.engine.conductor_blocks, settings.quotas.blocks_in_flight)
        self._runs = {}
        self._stores = node.stores
        self._opening = asyncio.Lock()
        self._reader = InputReader(node.stores.artifacts)


class ConductorNode(Node):
    """Runs batches."""

    def start(self) -> None:
        """Wait for hand-overs."""
        self.conductor = self.context.run(SimulatedConductor, self)


class Engine:
    """The way to the conductor: hand-overs may be lost, late, and made twice."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def connect(self) -> None:
        """Reach Ray; raises RayUnavailable."""
        if not self._conductor.process.alive:
            raise RayUnavailable("No conductor.")

    async def hand_over(self, batch_id: str, epoch: int) -> None:
        """Give the conductor a batch under an epoch."""
        await self._call(f"hand over {batch_id} {epoch}", "start", batch_id, epoch)

    async def stop(self, batch_id: str) -> None:
        """Tell the conductor to drop a batch."""
        await self._call(f"stop {batch_id}", "stop", batch_id)

    @property
    def _conductor(self) -> ConductorNode:
        return cast(ConductorNode, self._cluster.nodes["conductor"])

    async def _call(self, said: str, method: str, *arguments: Any) -> None:
        network = self._cluster.network

        def hand() -> None:
            node = self._conductor
            if not node.process.alive:
                raise RayUnavailable("The conductor is gone.")
            node.run(partial(getattr(node.conductor, method), *arguments))
            if network.chance.random() < network.faults.message_doubled:
                network.injected["hand-over doubled"] += 1
                node.run(partial(getattr(node.conductor, method), *arguments))

        await network.call("ray", said, hand, lambda: RayUnavailable("No answer."))
