"""The twin of the Ray pools: extractors in threads of this process.

Held to the same contract tests.
"""

import asyncio
from pathlib import Path

import pyarrow as pa

from engine.catalog import make_extractor
from engine.pools import Pool, ProgressClock
from engine.spec import Extraction, Extractor
from models.endpoints import Endpoints
from models.fields import ExtractorChoice


class InlinePools:
    """One extractor instance for each choice, in this process."""

    def __init__(self, cache: Path, endpoints: Endpoints | None = None) -> None:
        self._cache = cache
        self._endpoints = endpoints
        self._pools: dict[tuple[str, str], InlinePool] = {}

    def pool(self, choice: ExtractorChoice) -> Pool:
        """Return the pool of a choice, made at first use."""
        key = (choice.label, choice.parameters_hash)
        if key not in self._pools:
            self._pools[key] = InlinePool(choice, self._cache, self._endpoints)
        return self._pools[key]


class InlinePool:
    """One extractor and a lock around it."""

    def __init__(
        self, choice: ExtractorChoice, cache: Path, endpoints: Endpoints | None = None
    ) -> None:
        self._choice = choice
        self._cache = cache
        self._endpoints = endpoints
        self._extractor: Extractor | None = None
        self._lock = asyncio.Lock()

    async def extract(self, rows: pa.RecordBatch, progress: ProgressClock) -> Extraction:
        """Extract in a thread, one call at a time."""
        with progress.waiting():
            await self._lock.acquire()
        try:
            extractor = await self._ready(progress)
            return await asyncio.to_thread(extractor.run, rows, progress.advance)
        except asyncio.CancelledError:
            self._extractor = None  # a thread cannot be stopped; it keeps the old one
            raise
        finally:
            self._lock.release()

    async def _ready(self, progress: ProgressClock) -> Extractor:
        if self._extractor is None:
            extractor = make_extractor(self._choice, self._cache, self._endpoints)
            with progress.waiting():
                await asyncio.to_thread(extractor.setup)
            self._extractor = extractor
        return self._extractor
