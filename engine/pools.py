"""What the runner knows of extractors: pools of processes, and a clock of what they get done."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import pyarrow as pa

from engine.spec import Extraction
from models.fields import ExtractorChoice


class ProgressClock:
    """Tells whether an attempt at a block still moves: only then is its lease renewed."""

    def __init__(self) -> None:
        self._steps = 0
        self._seen = 0
        self._extracted = 0
        self._waiting = False

    def tick(self) -> None:
        """Note a step outside the extractor: something was read or written."""
        self._steps += 1

    def advance(self, done: int) -> None:
        """Note how much the extractor has done so far; the same number again is no progress."""
        if done > self._extracted:
            self._extracted = done
            self._steps += 1

    def restart(self) -> None:
        """Expect the extractor to count from the beginning: another call follows."""
        self._extracted = 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count as moving while a pool is busy with others; it bounds that wait itself."""
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False
            self._steps += 1

    def moved(self) -> bool:
        """Tell whether anything was done since the last question."""
        moved, self._seen = self._waiting or self._steps > self._seen, self._steps
        return moved


class Pool(Protocol):
    """Processes that run one extractor with one set of parameters."""

    async def extract(self, rows: pa.RecordBatch, progress: ProgressClock) -> Extraction:
        """Extract rows somewhere; raises ExtractorDied when that place is gone."""
        ...


class Pools(Protocol):
    """Finds or makes the pool of an extractor and its parameters."""

    def pool(self, choice: ExtractorChoice) -> Pool:
        """Return the pool for a collection's choice."""
        ...
