"""Fan-out: from the commit of an event to the frame at a real websocket client.

One subscriber, then a thousand of one batch, each on a socket of its own. CPU a delivery is what
the API's process used; memory is its growth for a thousand idle subscribers.
"""

import asyncio
import json
import os
import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import psutil
from websockets.asyncio.client import ClientConnection

from benchmarks.graphql_server import compared
from benchmarks.namespace import open_namespace
from benchmarks.stack import Product, running_product
from benchmarks.subscribers import commit_event, make_running_batch, open_socket, subscribe
from models.batch import Batch
from models.settings import load_settings
from models.stores import Stores, open_stores

SUBSCRIBERS: Final = 1000
ALONE_EVENTS: Final = 200
EVENTS: Final = 20
MEDIAN_LIMIT, P99_LIMIT, MANY_P99_LIMIT = 0.020, 0.100, 0.150
CPU_LIMIT, MEMORY_LIMIT = 80e-6, 60 * 1024
_AT_ONCE: Final = 50
_OPEN_SECONDS, _DELIVERY_SECONDS = 120, 30
_PAUSE_SECONDS: Final = 0.5


@dataclass
class Crowd:
    """Subscribers on sockets of their own, and when each saw each event."""

    size: int
    seen: dict[int, list[float]] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, socket: ClientConnection) -> None:
        """Note the time of every frame, the snapshot's as 0."""
        async for text in socket:
            arrived = time.perf_counter()
            message = json.loads(text)
            if message["type"] == "ping":
                await socket.send('{"type":"pong"}')
            elif message["type"] == "next":
                frame = message["payload"]["data"]["batchEvents"]
                times = self.seen.setdefault(frame["sequence"], [])
                times.append(arrived)
                if len(times) == self.size:
                    self.arrived.set()

    async def all_saw(self, sequence: int, seconds: float) -> list[float]:
        """Wait until every subscriber saw an event; return when each did."""
        async with asyncio.timeout(seconds):
            while len(self.seen.get(sequence, [])) < self.size:
                self.arrived.clear()
                await self.arrived.wait()
        return self.seen.pop(sequence)


def run() -> dict[str, object]:
    """Measure and return the figures."""
    with running_product() as product:
        namespace = asyncio.run(open_namespace(product, "fanout"))
        with compared(product, namespace.id) as base_url:
            found = asyncio.run(_measure(product, base_url, namespace.id, namespace.key))
    within = (
        found["alone_median"] < MEDIAN_LIMIT
        and found["alone_p99"] < P99_LIMIT
        and found["many_p99"] < MANY_P99_LIMIT
        and found["cpu_seconds_a_delivery"] <= CPU_LIMIT
        and found["bytes_a_subscription"] < MEMORY_LIMIT
    )
    return {
        "benchmark": "fanout",
        "value": found["many_p99"],
        "unit": "s",
        "limit": MANY_P99_LIMIT,
        "ratio": round(found["many_p99"] / MANY_P99_LIMIT, 3),
        **found,
        "within": within,
        "subscribers": SUBSCRIBERS,
        "cores": os.cpu_count(),
    }


async def _measure(
    product: Product, base_url: str, namespace_id: str, key: str
) -> dict[str, float]:
    server = _process_on(base_url)
    async with open_stores(load_settings(product.data)) as stores:
        batch = await make_running_batch(namespace_id)
        async with AsyncExitStack() as opened:
            crowd = await _gather(opened, base_url, key, batch, 1)
            alone, _ = await _deliver(stores, batch, crowd, server, ALONE_EVENTS, 0.01)
        batch = await make_running_batch(namespace_id)
        before = server.memory_info().rss
        async with AsyncExitStack() as opened:
            crowd = await _gather(opened, base_url, key, batch, SUBSCRIBERS)
            await asyncio.sleep(_PAUSE_SECONDS)
            memory = (server.memory_info().rss - before) / SUBSCRIBERS
            many, cpu = await _deliver(stores, batch, crowd, server, EVENTS, _PAUSE_SECONDS)
    return {
        "alone_median": round(statistics.median(alone), 4),
        "alone_p99": round(_p99(alone), 4),
        "many_median": round(statistics.median(many), 4),
        "many_p99": round(_p99(many), 4),
        "cpu_seconds_a_delivery": round(cpu / len(many), 7),
        "bytes_a_subscription": round(memory),
    }


async def _gather(
    opened: AsyncExitStack, base_url: str, key: str, batch: Batch, count: int
) -> Crowd:
    crowd, gate = Crowd(count), asyncio.Semaphore(_AT_ONCE)

    async def one() -> None:
        async with gate:
            socket = await opened.enter_async_context(open_socket(base_url, key))
            reading = asyncio.create_task(crowd.read(socket))
            opened.callback(reading.cancel)
            await subscribe(socket, batch.id)

    await asyncio.gather(*(one() for _ in range(count)))
    await crowd.all_saw(0, _OPEN_SECONDS)
    return crowd


async def _deliver(
    stores: Stores, batch: Batch, crowd: Crowd, server: Any, count: int, pause: float
) -> tuple[list[float], float]:
    """Commit events one by one; return each delivery's seconds and the server's CPU seconds."""
    took: list[float] = []
    before = _cpu(server)
    for _ in range(count):
        sequence, committed = await commit_event(stores, batch)
        times = await crowd.all_saw(sequence, _DELIVERY_SECONDS)
        took += [max(0.0, arrived - committed) for arrived in times]
        await asyncio.sleep(pause)
    return took, _cpu(server) - before


def _cpu(server: Any) -> float:
    times = server.cpu_times()
    return float(times.user + times.system)


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def _process_on(base_url: str) -> Any:
    port = int(base_url.rsplit(":", 1)[1])
    for process in psutil.Process().children(recursive=True):
        if "benchmarks.graphql_server" in process.cmdline() and str(port) in process.cmdline():
            return process
    raise RuntimeError("the compared server is not there")
