"""A document for each word, deterministically; and a pool that may die or hang."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from engine.catalog import CATALOG, make_extractor, parameters_hash, parse_parameters
from engine.pools import ProgressClock
from engine.spec import (
    ROW,
    Extraction,
    Extractor,
    ExtractorSpec,
    InputSpec,
    OutputSpec,
    Parameters,
    Progress,
    RowFailure,
)
from models.errors import ErrorCategory, ExtractorDied
from models.fields import ExtractorChoice, FieldType, VectorField
from tests.simulation.network import Network

VECTOR: Final = VectorField(name="embedding", dimension=2)
POISON: Final = "poison"  # fails its row for ever
BUSY: Final = "busy"  # fails its row the first time
_LABEL: Final = "words@v1"
_STEP_SECONDS: Final = 4.0
_FOR_EVER: Final = 1e6


class Nothing(Parameters):
    """None."""


class Words(Extractor):
    """A document for each word; a poisoned row fails, a busy one says to come back."""

    spec: ClassVar = ExtractorSpec(
        name="words",
        version="v1",
        description="For the simulation.",
        inputs=(InputSpec("text", "text", "Words."),),
        outputs=(OutputSpec("word", FieldType.STRING, pa.large_string(), "A word."),),
        parameters=Nothing,
        vectors=lambda *_: (VECTOR,),
    )
    met: Counter[str] = Counter()  # busy texts, by how often they were tried

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Make the documents."""
        documents: list[dict[str, Any]] = []
        failures: list[RowFailure] = []
        for row, text in enumerate(rows.column("text").to_pylist()):
            progress(row + 1)
            words = text.split()
            if POISON in words:
                failures.append(RowFailure(row, ErrorCategory.VALIDATION, "Poisoned."))
                continue
            if words[0].startswith(BUSY) and len(words) > 1:
                self.met[text] += 1
                if self.met[text] == 1:
                    failures.append(
                        RowFailure(row, ErrorCategory.RATE_LIMIT, "Busy.", transient=True)
                    )
                    continue
            for word in words:
                vector = np.array([len(word), sum(word.encode())], np.float32)
                documents.append({ROW: row, "word": word, VECTOR.name: vector})
        return Extraction(pa.Table.from_pylist(documents, schema=self.schema()), failures)


@contextmanager
def in_the_catalog() -> Iterator[None]:
    """Let this process know the extractor for a while."""
    CATALOG[_LABEL] = "tests.simulation.extractors:Words"
    try:
        yield
    finally:
        del CATALOG[_LABEL]


def choose_words() -> ExtractorChoice:
    """Return a collection's choice of the extractor."""
    parameters = parse_parameters(_LABEL, {})
    return ExtractorChoice(
        name="words",
        version="v1",
        parameters=parameters.model_dump(mode="json"),
        parameters_hash=parameters_hash(parameters),
    )


class SimulatedPools:
    """One pool for every choice."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def pool(self, choice: ExtractorChoice) -> "SimulatedPool":
        """Return the pool of a choice."""
        return SimulatedPool(choice, self._network)


class SimulatedPool:
    """Extracts in virtual time."""

    def __init__(self, choice: ExtractorChoice, network: Network) -> None:
        self._extractor = make_extractor(choice, Path())
        self._network = network

    async def extract(self, rows: pa.RecordBatch, progress: ProgressClock) -> Extraction:
        """Extract, unless the process dies of it or hangs."""
        chance, faults = self._network.chance, self._network.faults
        await asyncio.sleep(chance.random() * _STEP_SECONDS)
        if faults.extractor_dies and chance.random() < faults.extractor_dies:
            self._network.injected["extractor died"] += 1
            raise ExtractorDied("The extractor's process ended.")
        if faults.extractor_hangs and chance.random() < faults.extractor_hangs:
            self._network.injected["extractor hung"] += 1
            await asyncio.sleep(_FOR_EVER)
        return self._extractor.run(rows, progress.advance)
