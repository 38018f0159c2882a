"""A conductor: the process on Ray that keeps the blocks of its batches flowing.

It owns the extractor pools that it needs; when it dies, its pools die with it, the leases run out,
and the next hand-over goes to its successor.
"""

import asyncio
import logging
from typing import Final

from engine.catalog import default_choice
from engine.inputs import InputReader
from engine.plugins import allow_plugins
from engine.ray_pool import RayPools
from engine.runner import BatchRun
from engine.slots import Slots
from models import metrics
from models.batch import Batch
from models.collection import Collection
from models.errors import Misconfigured
from models.ids import new_id
from models.logs import bound, setup_logging
from models.monitor import start_monitor
from models.scope import Scope
from models.settings import Settings
from models.states import BatchStatus
from models.stores import Stores, open_stores
from models.traces import setup_traces

logger = logging.getLogger(__name__)
_SHRINK_SECONDS: Final = 5.0
WARM_EXTRACTORS: Final = ("text@v1",)


class Conductor:
    """Runs batches; one asyncio task each. `engine.ray_runner` wraps it into a Ray actor."""

    def __init__(self, settings: Settings, size: int, number: int = 0) -> None:
        setup_logging("conductor", settings.log_format, settings.log_level or "INFO")
        setup_traces("conductor", settings.traces)
        allow_plugins(settings.extractors.plugins)
        self._settings = settings
        self._owner = new_id("sub")
        self._pools = RayPools(
            settings.cache,
            size=settings.engine.pool_size or size,
            endpoints=settings.embeddings,
            in_flight_bytes=settings.engine.in_flight_bytes,
        )
        self._slots = Slots(settings.engine.conductor_blocks, settings.quotas.blocks_in_flight)
        self._runs: dict[str, tuple[int, asyncio.Task[None]]] = {}  # those under way
        self._stores: Stores | None = None
        self._opening = asyncio.Lock()
        self._monitor(number)

    def _monitor(self, number: int) -> None:
        """Show this process's metrics; one that cannot is no reason to have no conductor."""
        where = self._settings.monitor
        if where.conductor_port is None:
            return
        try:
            start_monitor(
                where.host, where.conductor_port + number, lambda: self._stores is not None
            )
        except Misconfigured as error:
            logger.warning("%s", error.message)

    async def start(self, batch_id: str, epoch: int) -> bool:
        """Take over a batch under an epoch; a second hand-over of the same pair is a no-op."""
        stores = await self._open()
        known, run = self._runs.get(batch_id, (0, None))
        if run is not None:
            if epoch <= known:
                return False
            run.cancel()
        task = asyncio.create_task(self._run(stores, batch_id, epoch), name=batch_id)
        self._runs[batch_id] = (epoch, task)
        metrics.RUNS.set(len(self._runs))
        return True

    async def stop(self, batch_id: str) -> None:
        """Drop a batch's work; a hint after a cancel, for nothing of it could commit any more."""
        _, run = self._runs.get(batch_id, (0, None))
        if run is not None:
            run.cancel()

    async def warm(self) -> None:
        """Open the stores and start the first process of the usual extractors."""
        await self._open()
        for label in WARM_EXTRACTORS:
            self._pools.warm(default_choice(label))

    async def _open(self) -> Stores:
        async with self._opening:
            if self._stores is None:
                # Open for as long as this process lives; Ray ends it without asking.
                self._context = open_stores(self._settings)
                self._stores = await self._context.__aenter__()
                self._reader = InputReader(
                    self._stores.artifacts,
                    self._stores.egress,
                    blob_cache_bytes=self._settings.engine.blob_cache_bytes,
                )
                self._shrinker = asyncio.create_task(self._shrink())
            return self._stores

    async def _run(self, stores: Stores, batch_id: str, epoch: int) -> None:
        with bound(batch_id=batch_id):
            await self._run_bound(stores, batch_id, epoch)

    async def _run_bound(self, stores: Stores, batch_id: str, epoch: int) -> None:
        try:
            batch = await Batch.get(batch_id)
            if batch is None or batch.epoch != epoch or batch.status != BatchStatus.PROCESSING:
                return
            wanted = [
                collection_id for tier in batch.tiers for collection_id in tier.collection_ids
            ]
            collections = await Scope(batch.namespace_id).find_many(Collection, wanted)
            await BatchRun(
                stores,
                batch,
                collections,
                pools=self._pools,
                reader=self._reader,
                owner=self._owner,
                slots=self._slots,
            ).run()
        except Exception:
            logger.exception("The run of batch %s ended; its lease will run out", batch_id)
        finally:
            if self._runs.get(batch_id, (0, None))[0] == epoch:
                del self._runs[batch_id]
                metrics.RUNS.set(len(self._runs))

    async def _shrink(self) -> None:
        while True:
            await asyncio.sleep(_SHRINK_SECONDS)
            self._pools.shrink()
