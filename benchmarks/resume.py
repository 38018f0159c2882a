"""Resuming: ten thousand events over websocket, event stream and multipart, with random kills.

Clients drop their connection at random; the API is killed and started again while events go on.
Every client must see every event once: none lost, none twice, each hole said aloud.
"""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from websockets.exceptions import WebSocketException

from benchmarks.namespace import open_namespace
from benchmarks.server import Server
from benchmarks.stack import Product, running_product
from benchmarks.subscribers import (
    commit_event,
    event_frames,
    make_running_batch,
    part_frames,
    socket_frames,
)
from models.batch import Batch
from models.settings import load_settings
from models.stores import Stores, open_stores

EVENTS: Final = 10_000
LIMIT: Final = 0  # events lost or seen twice
AT_ONCE: Final = 2  # writers: commits conflict on the batch, and are made again
CLIENTS_EACH: Final = 3
SERVER_KILLS: Final = 5
_CUT_SECONDS: Final = (0.2, 3.0)
_AGAIN_SECONDS: Final = 0.05
_LIMIT_SECONDS: Final = 600
_LOST: Final = (OSError, WebSocketException, asyncio.IncompleteReadError, ValueError)
Frames = Callable[[str, str, str, str | None], AsyncGenerator[dict[str, Any], None]]


@dataclass
class Client:
    """A client that loses its connection again and again, and comes back with its cursor."""

    transport: str
    frames: Frames
    seen: list[int] = field(default_factory=list)
    cursor: str | None = None
    at: int = 0
    connections: int = 0
    discontinuities: int = 0

    async def follow(self, base_url: str, key: str, batch_id: str, last: int) -> None:
        """Follow until the last event was seen."""
        while self.at < last:
            self.connections += 1
            with contextlib.suppress(TimeoutError, *_LOST):
                async with asyncio.timeout(random.uniform(*_CUT_SECONDS)):
                    await self._read(base_url, key, batch_id, last)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _read(self, base_url: str, key: str, batch_id: str, last: int) -> None:
        opened = self.frames(base_url, key, batch_id, self.cursor)
        async with contextlib.aclosing(opened) as frames:
            async for frame in frames:
                self._take(frame)
                if self.at >= last:
                    return

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["__typename"] == "BatchDiscontinuity":
            self.discontinuities += 1
        elif frame["__typename"] == "BatchSnapshot":  # it stands for what came before
            self.seen += range(frame["fromSequence"], frame["sequence"] + 1)
        else:
            self.seen += [event["sequence"] for event in frame["events"]]
        self.cursor, self.at = frame["cursor"], frame["sequence"]


def run() -> dict[str, object]:
    """Measure and return the figures."""
    with running_product() as product:
        clients, kills, seconds = asyncio.run(_measure(product))
    lost, twice, in_order = count_faults([client.seen for client in clients], EVENTS)
    return {
        "benchmark": "resume",
        "value": lost + twice,
        "unit": "events lost or seen twice",
        "limit": LIMIT,
        "events": EVENTS,
        "lost": lost,
        "twice": twice,
        "discontinuities": sum(client.discontinuities for client in clients),
        "in_order": in_order,
        "within": lost + twice <= LIMIT and in_order and kills > 0,
        "clients": len(clients),
        "connections": sum(client.connections for client in clients),
        "server_kills": kills,
        "seconds": round(seconds, 1),
        "cores": os.cpu_count(),
    }


def count_faults(seen: list[list[int]], events: int) -> tuple[int, int, bool]:
    """Return how many events clients lost, how many came twice, and whether all came in order."""
    lost = sum(events - len(set(one)) for one in seen)
    twice = sum(len(one) - len(set(one)) for one in seen)
    return lost, twice, all(one == sorted(one) for one in seen)


async def _measure(product: Product) -> tuple[list[Client], int, float]:
    namespace = await open_namespace(product, "resume")
    kinds: dict[str, Frames] = {
        "websocket": socket_frames, "events": event_frames, "multipart": part_frames,
    }  # fmt: skip
    clients = [Client(name, frames) for name, frames in kinds.items() for _ in range(CLIENTS_EACH)]
    started = time.perf_counter()
    async with open_stores(load_settings(product.data)) as stores, asyncio.timeout(_LIMIT_SECONDS):
        batch = await make_running_batch(namespace.id)
        async with Server(product.data) as server:
            following = [
                client.follow(server.base_url, namespace.key, batch.id, EVENTS)
                for client in clients
            ]
            killing = asyncio.create_task(_kill(server))
            await asyncio.gather(_write(stores, batch), *following)
            killing.cancel()
    return clients, server.kills, time.perf_counter() - started


async def _write(stores: Stores, batch: Batch) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with gate:
            await commit_event(stores, batch)

    await asyncio.gather(*(one() for _ in range(EVENTS)))


async def _kill(server: Server) -> None:
    """Kill the API at random moments, in turn politely and not."""
    for number in range(SERVER_KILLS):
        await asyncio.sleep(random.uniform(3, 8))
        await server.restart(politely=bool(number % 2))
