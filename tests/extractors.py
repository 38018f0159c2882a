"""Extractors that do exactly what a test asks for, and how they get into the catalogue.

All make one document for each word of `text`; some words have a meaning of their own.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from engine.catalog import CATALOG, parameters_hash, parse_parameters
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
from models.errors import ErrorCategory, ExtractorUnavailable
from models.fields import ExtractorChoice, FieldType, VectorField

EXTRACTORS: Final = {
    "constant@v1": "tests.extractors:Constant",
    "whole@v1": "tests.extractors:Whole",
    "failing@v1": "tests.extractors:Failing",
    "slow@v1": "tests.extractors:Slow",
    "holding@v1": "tests.extractors:Holding",
    "dying@v1": "tests.extractors:Dying",
    "unready@v1": "tests.extractors:Unready",
    "halves@v1": "tests.extractors:Halves",
    "poisoned@v1": "tests.extractors:Poisoned",
    "busy@v1": "tests.extractors:Busy",
}
VECTOR: Final = VectorField(name="embedding", dimension=4)


def install() -> None:
    """Add them to the catalogue of this process; Ray's workers run this when they start."""
    CATALOG.update(EXTRACTORS)


def choice(label: str, **parameters: Any) -> ExtractorChoice:
    """Return a collection's choice of an extractor, as createCollection would store it."""
    name, _, version = label.partition("@")
    parsed = parse_parameters(label, parameters)
    return ExtractorChoice(
        name=name,
        version=version,
        parameters=parsed.model_dump(mode="json"),
        parameters_hash=parameters_hash(parsed),
    )


class Nothing(Parameters):
    """None."""


def _spec(name: str, parameters: type[Parameters], **values: Any) -> ExtractorSpec:
    return ExtractorSpec(
        name=name,
        version="v1",
        description="For tests.",
        inputs=(InputSpec("text", "text", "Words."),),
        outputs=(OutputSpec("word", FieldType.STRING, pa.large_string(), "A word."),),
        parameters=parameters,
        vectors=lambda *_: (VECTOR,),
        **values,
    )


def words(rows: pa.RecordBatch) -> Iterator[tuple[int, str]]:
    """Yield every word with its row."""
    for row, text in enumerate(rows.column("text").to_pylist()):
        for word in text.split():
            yield row, word


class Constant(Extractor):
    """Every word has the same vector."""

    spec: ClassVar = _spec("constant", Nothing)

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Make the documents."""
        found = list(words(rows))
        progress(len(found))
        return self.documents(found)

    def documents(self, found: list[tuple[int, str]]) -> Extraction:
        """Return the words as documents."""
        vectors = pa.array(np.full(4 * len(found), 0.5, np.float32))
        columns = {
            ROW: pa.array([row for row, _ in found], pa.int32()),
            "word": pa.array([word for _, word in found], pa.large_string()),
            VECTOR.name: pa.FixedSizeListArray.from_arrays(vectors, 4),
        }
        return Extraction(pa.table(columns, schema=self.schema()))


class Halves(Extractor):
    """Two documents for each blob, with its size and one half of it as bytes for the next tier."""

    spec: ClassVar = ExtractorSpec(
        name="halves",
        version="v1",
        description="For tests.",
        inputs=(InputSpec("blob", "blob", "Bytes."),),
        outputs=(
            OutputSpec("size", FieldType.INTEGER, pa.int64(), "Bytes in all."),
            OutputSpec(
                "half", FieldType.BLOB, pa.large_binary(), "Half.", media_type="image/x-half"
            ),
            OutputSpec("said", FieldType.STRING, pa.string(), "The media type, as given."),
        ),
        parameters=Nothing,
        vectors=lambda *_: (),
    )

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Cut; `bad` bytes fail their row."""
        documents, failures = [], []
        for row, blob in enumerate(rows.column("blob").to_pylist()):
            data, middle = blob["data"], len(blob["data"]) // 2
            progress(row + 1)
            if data == b"bad":
                failures.append(RowFailure(row, ErrorCategory.VALIDATION, "Bad bytes."))
                continue
            about = {ROW: row, "size": len(data), "said": blob["media_type"]}
            documents += [{**about, "half": half} for half in (data[:middle], data[middle:])]
        return Extraction(pa.Table.from_pylist(documents, schema=self.schema()), failures)


class Whole(Constant):
    """Wants to see the whole tier below it at once."""

    spec: ClassVar = _spec("whole", Nothing, needs_whole_tier=True)


class FailingParameters(Parameters):
    """Where to note each call, if anywhere."""

    calls: str | None = None


class Failing(Constant):
    """`bad` fails its row; `raise` raises, `once` only the first time; `permanent` is final."""

    spec: ClassVar = _spec("failing", FailingParameters)
    parameters: FailingParameters

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Fail as asked."""
        found = list(words(rows))
        said = {word for _, word in found}
        first = self._note_call()
        if "permanent" in said:
            raise ExtractorUnavailable("The net is gone.", hint="Put it back.")
        if "raise" in said or ("once" in said and first):
            raise ValueError("a word that raises")
        bad = sorted({row for row, word in found if word == "bad"})
        made = self.documents([(row, word) for row, word in found if row not in bad])
        failures = [
            RowFailure(row, ErrorCategory.VALIDATION, "A bad word.", hint="Say another.")
            for row in bad
        ]
        return Extraction(made.documents, failures)

    def _note_call(self) -> bool:
        if self.parameters.calls is None:
            return False
        with Path(self.parameters.calls).open("a") as file:
            file.write("called\n")
            return file.tell() == len("called\n")


class SlowParameters(Parameters):
    """How long, and whether it says that it moves."""

    seconds: float = 1.0
    silent: bool = False
    started: str | None = None  # a file that appears when it runs


class Slow(Constant):
    """Takes its time."""

    spec: ClassVar = _spec("slow", SlowParameters)
    parameters: SlowParameters

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Sleep in small steps."""
        if self.parameters.started is not None:
            Path(self.parameters.started).touch()
        end, done = time.monotonic() + self.parameters.seconds, 0
        while time.monotonic() < end:
            time.sleep(0.02)
            done += 1
            if not self.parameters.silent:
                progress(done)
        return self.documents(list(words(rows)))


class HoldingParameters(Parameters):
    """A file that lets it go on, and one that appears when it waits."""

    gate: str
    started: str | None = None
    held: str | None = None  # appears when the first one waits; then no other does


class Holding(Constant):
    """A block with the word `hold` waits for the file."""

    spec: ClassVar = _spec("holding", HoldingParameters)
    parameters: HoldingParameters

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Wait, showing progress."""
        found, gate, turns = list(words(rows)), Path(self.parameters.gate), 0
        if self.parameters.started is not None:
            Path(self.parameters.started).touch()
        waits = "hold" in {word for _, word in found} and self._is_first()
        while waits and not gate.exists():
            time.sleep(0.01)
            turns += 1
            progress(turns)
            if turns > 12_000:  # a thread that waits for ever would keep the test run from ending
                raise TimeoutError("nobody opened the gate")
        return self.documents(found)

    def _is_first(self) -> bool:
        if self.parameters.held is None:
            return True
        try:
            Path(self.parameters.held).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class DyingParameters(Parameters):
    """A folder in which each death leaves a file, and how many there are to be."""

    graves: str
    deaths: int = 1


class Dying(Constant):
    """Its process is killed in the middle."""

    spec: ClassVar = _spec("dying", DyingParameters)
    parameters: DyingParameters

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Die until there are enough graves."""
        graves = Path(self.parameters.graves)
        if len(list(graves.iterdir())) < self.parameters.deaths:
            (graves / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.documents(list(words(rows)))


class PoisonedParameters(Parameters):
    """Where to note how many rows each call has, if anywhere."""

    calls: str | None = None


class Poisoned(Constant):
    """Some words are the end of the call that meets them, or of its process."""

    spec: ClassVar = _spec("poisoned", PoisonedParameters)
    parameters: PoisonedParameters

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Meet every word."""
        if self.parameters.calls is not None:
            with Path(self.parameters.calls).open("a") as file:
                file.write(f"{rows.num_rows}\n")
        found = list(words(rows))
        said = {word for _, word in found}
        for word, suffer in POISONS.items():
            if word in said:
                suffer()
        made = self.documents(found)
        if "nan" in said:
            vectors = pa.array(np.full(4 * len(found), np.nan, np.float32))
            return Extraction(_with_vectors(made.documents, vectors, 4))
        if "dimension" in said:
            vectors = pa.array(np.zeros(3 * len(found), np.float32))
            return Extraction(_with_vectors(made.documents, vectors, 3))
        return made


def _with_vectors(documents: pa.Table, vectors: pa.Array, dimension: int) -> pa.Table:
    index = documents.schema.get_field_index(VECTOR.name)
    column = pa.FixedSizeListArray.from_arrays(vectors, dimension)
    return documents.set_column(index, VECTOR.name, column)


def _raise() -> None:
    raise ValueError("a word that raises")


def _segfault() -> None:
    ctypes.string_at(0)


def _loop() -> None:
    while True:
        time.sleep(0.01)


def _out_of_memory() -> None:
    os.kill(os.getpid(), signal.SIGKILL)  # what the kernel does then


POISONS: Final = {
    "raise": _raise,
    "segfault": _segfault,
    "loop": _loop,
    "oom": _out_of_memory,
    "exit": sys.exit,
}


class BusyParameters(Parameters):
    """A file of every row that it has met, and how often a busy row is busy."""

    met: str
    times: int = 1


class Busy(Constant):
    """Has no time for rows that say `busy`, the first times; and says that this passes."""

    spec: ClassVar = _spec("busy", BusyParameters)
    parameters: BusyParameters

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Note every row, and put off the busy ones."""
        met = Path(self.parameters.met)
        before = met.read_text().splitlines() if met.exists() else []
        texts: list[str] = rows.column("text").to_pylist()
        with met.open("a") as file:
            file.writelines(f"{text}\n" for text in texts)
        busy = {
            row
            for row, text in enumerate(texts)
            if "busy" in text and before.count(text) < self.parameters.times
        }
        made = self.documents([(row, word) for row, word in words(rows) if row not in busy])
        failures = [
            RowFailure(row, ErrorCategory.RATE_LIMIT, "Too busy.", transient=True)
            for row in sorted(busy)
        ]
        return Extraction(made.documents, failures)


class Unready(Constant):
    """Cannot be set up."""

    spec: ClassVar = _spec("unready", Nothing)

    def setup(self) -> None:
        """Say why."""
        raise ExtractorUnavailable("Net 'nowhere' is not installed.", hint="pip install nowhere")
