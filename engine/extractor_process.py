"""One process with one extractor. Imports no store and no Ray: it must be there in a moment."""

from functools import partial
from pathlib import Path

import pyarrow as pa

from engine.catalog import make_extractor
from engine.plugins import allow_plugins
from engine.spec import Extraction, Extractor
from models.endpoints import Endpoints
from models.fields import ExtractorChoice


class ExtractorProcess:
    """One process with one extractor; `progress` is answered while `extract` runs.

    `RayPool` wraps it into a Ray actor.
    """

    _extractor: Extractor

    def __init__(
        self,
        choice: ExtractorChoice,
        cache: Path,
        endpoints: Endpoints | None = None,
        plugins: tuple[str, ...] = (),
    ) -> None:
        allow_plugins(plugins)
        self._make = partial(make_extractor, choice, cache, endpoints)
        self._done = 0

    def setup(self) -> None:
        """Load what the extractor needs; here, and not before, a plug-in is imported.

        Raises:
            ExtractorUnavailable: it cannot be loaded in this process.
        """
        self._extractor = self._make()
        self._extractor.setup()

    def extract(self, rows: pa.RecordBatch) -> Extraction:
        """Run the extractor on the rows of a block."""
        try:
            return self._extractor.run(rows, self._note)
        finally:
            self._done = 0

    def progress(self) -> int:
        """Return how much of the present call is done, by the extractor's own measure."""
        return self._done

    def _note(self, done: int) -> None:
        self._done = done
