"""One collection: its shard, the lock of its writers, and the journal of an index build."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

from qdrant_edge import EdgeShard, UpdateOperation

from models.embedded.qdrant_front.config import OPTIMIZERS
from models.embedded.qdrant_front.filters import Json
from models.embedded.qdrant_front.refusals import Refusal, engine_errors, missing
from models.embedded.qdrant_front.shard import OpenShard
from models.embedded.qdrant_front.updates import Update
from models.embedded.qdrant_front.vectors import dense_params, specs_of

T = TypeVar("T")
FLOAT_BYTES = 4
PAYLOAD_BYTES = 256  # a point without dense vectors still costs a build something


class Collection:
    """Reads go straight to the shard, writes one at a time; both on the store's threads."""

    def __init__(self, name: str, config: Json, open_shard: OpenShard, threads: Executor) -> None:
        self.name = name
        self.config = config
        self.vectors = specs_of(config)
        self.open_shard = open_shard
        self.threads = threads
        self.write_lock = asyncio.Lock()
        self.build_lock = asyncio.Lock()
        self.journal: list[UpdateOperation] | None = None
        self.unbuilt = 0  # points written since the last index build
        self.unflushed = False
        self.written_at = 0.0

    def configure(self, config: Json) -> None:
        self.config = config
        self.vectors = specs_of(config)

    @contextmanager
    def shard(self) -> Iterator[EdgeShard]:
        """The shard of this moment; a swap in between is met by taking the new one."""
        while True:
            current = self.open_shard
            with current.reading() as shard:
                if shard is not None:
                    yield shard
                    return
            if current is self.open_shard:
                raise missing(f"Collection `{self.name}` doesn't exist!")

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    async def read(self, work: Callable[[EdgeShard], T]) -> T:
        return await self.run(lambda: self._read(work))

    async def write(self, updates: Sequence[Update]) -> None:
        """Apply in order. Each one is in the engine's log on disk before this returns."""
        async with self.write_lock:
            await self.run(lambda: self._write(updates))

    async def flush(self) -> None:
        async with self.write_lock:
            self.unflushed = False
            await self.read(EdgeShard.flush)

    @property
    def tail_bytes(self) -> int:
        """About how much was written since the last index build."""
        floats = sum(params["size"] for params in dense_params(self.config).values())
        return self.unbuilt * (floats * FLOAT_BYTES or PAYLOAD_BYTES)

    @property
    def wants_build(self) -> bool:
        """Whether the tail is above the indexing threshold (in KB; 0 turns building off)."""
        settings: Json = OPTIMIZERS | (self.config.get("optimizers_config") or {})
        kilobytes = settings["indexing_threshold"] or 0
        return 0 < kilobytes * 1024 < self.tail_bytes

    @property
    def status(self) -> str:
        return "yellow" if self.journal is not None or self.wants_build else "green"

    def _read(self, work: Callable[[EdgeShard], T]) -> T:
        with self.shard() as shard, engine_errors():
            return work(shard)

    def _write(self, updates: Sequence[Update]) -> None:
        journal = self.journal
        with self.shard() as shard:
            for update in updates:
                # Journaled first: what fails here half-way fails alike on the copy.
                if journal is not None:
                    journal.append(update.operation)
                self._note(update)
                with engine_errors():
                    shard.update(update.operation)

    def _note(self, update: Update) -> None:
        self.unbuilt += update.points
        self.unflushed = True
        self.written_at = time.monotonic()


def replay(shard: EdgeShard, operations: Sequence[UpdateOperation]) -> None:
    """Repeat on a copy what the original was given, failures included."""
    for operation in operations:
        try:
            with engine_errors():
                shard.update(operation)
        except Refusal:
            continue
