"""Extracts the rows of a block: in one go, or in a search for its bad rows once that has failed.

What is found out is written down before the next run, so a search outlives its process. Rows that
passed are kept; only those that fail alone as well are given up.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from engine.inputs import BlockRows
from engine.isolation import Search, Span
from engine.output import Work
from engine.pools import Pool, ProgressClock
from engine.rows import INPUT
from engine.spec import ROW, Extraction, ExtractorSpec, RowFailure
from engine.vector_columns import column_type
from models.block import Fault, Isolation, note_isolation
from models.errors import (
    ErrorCategory,
    ExtractorDied,
    ExtractorHung,
    Permanent,
    StaleBlock,
    Transient,
)

Index = npt.NDArray[np.int64]  # rows of a block, rising
Call = Callable[[Index], Awaitable[Extraction]]  # extracts them; the answer counts as the block
_TRUSTED: Final = 1  # attempts that fail before the block's rows are suspected
_LOST: Final = 2  # claims that end without a word before they are
_HINT: Final = "It fails alone as well: mend or remove the object, then submit it again."
_MESSAGE: Final = 500  # characters
_CATEGORIES: Final[tuple[tuple[type[Exception], ErrorCategory], ...]] = (
    (ExtractorHung, ErrorCategory.TIMEOUT),
    (ExtractorDied, ErrorCategory.RESOURCE),
    (MemoryError, ErrorCategory.RESOURCE),
    (TimeoutError, ErrorCategory.TIMEOUT),
    (ConnectionError, ErrorCategory.NETWORK),
)


class RowsFailed(Exception):
    """The extractor failed on rows as a whole; which of them it was is not known yet."""

    def __init__(self, error: Exception) -> None:
        found = (kind for error_type, kind in _CATEGORIES if isinstance(error, error_type))
        self.category = next(found, ErrorCategory.RUNTIME)
        self.message = (
            error.message
            if isinstance(error, ExtractorDied)
            else f"{type(error).__name__}: {error}"[:_MESSAGE]
        )
        super().__init__(self.message)


class AllRowsFail(Exception):
    """No row of the block will pass."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class BlockExtraction:
    """One attempt at the rows of one block."""

    def __init__(
        self, work: Work, rows: BlockRows, *, call: Call, reused: Extraction | None = None
    ) -> None:
        self._work = work
        self._rows = rows.table.num_rows
        self._wanted = np.ones(self._rows, np.bool_)
        self._wanted[[failure.row for failure in rows.failures]] = False
        self._wanted[sorted(rows.reused)] = False
        self._reused = [] if reused is None else [reused]
        self._call = call

    async def run(self) -> Extraction:
        """Return what the rows yield, reused ones included, and which of them failed.

        Raises:
            RowsFailed: the rows failed together, for the first time.
            AllRowsFail: and so did each that was looked at alone.
            StaleBlock: the block is another's.
        """
        found = await self._extract_all()
        return merge(self._work, [found, *self._reused], []) if self._reused else found

    async def _extract_all(self) -> Extraction:
        state = self._work.block.isolation or self._suspicion()
        if state is None:
            try:
                return await self._extract(Span(0, self._rows))
            except RowsFailed as failed:
                if self._work.block.attempts <= _TRUSTED or self._work.spec.needs_whole_tier:
                    raise
                fault = _fault(Span(0, self._rows), failed.category, failed.message)
                state = Isolation(faults=[fault, fault])  # as it failed before
        return await self._search(state)

    def _suspicion(self) -> Isolation | None:
        """Suspect the rows of a block whose process, and ours, ended again and again."""
        lost = self._work.block.lost
        if lost < _LOST or self._work.spec.needs_whole_tier:
            return None
        message = f"The process that ran the block ended {lost} times without a word."
        return Isolation(faults=[_fault(Span(0, self._rows), ErrorCategory.RESOURCE, message)])

    async def _search(self, state: Isolation) -> Extraction:
        if state.running is not None:
            message = "The process that ran these rows ended without a word."
            fault = _fault(Span(*state.running), ErrorCategory.RESOURCE, message)
            state = Isolation(faults=[*state.faults, fault], runs=state.runs)
        search, parts = Search(self._rows, state.faults), dict[Span, Extraction]()
        while state.runs < search.run_limit and (span := search.next()) is not None:
            running = (span.start, span.stop)
            state = state.model_copy(update={"running": running, "runs": state.runs + 1})
            await self._note(state)
            failed = await self._try(span, parts, state)
            if failed is None:
                search.succeed(span)
            else:
                search.fail(failed)
                state = state.model_copy(update={"faults": [*state.faults, failed]})
        await self._note(state.model_copy(update={"running": None}))
        if search.hopeless:
            raise AllRowsFail(search.cause)
        passed = [parts[span] for span in search.passed()]
        # A row that failed before may be taken over by now from another batch, which it passed in.
        bad = {row: fault for row, fault in search.bad().items() if self._wanted[row]}
        return merge(self._work, passed, _failures(bad))

    async def _try(
        self, span: Span, parts: dict[Span, Extraction], state: Isolation
    ) -> Fault | None:
        try:
            parts[span] = await self._extract(span)
        except RowsFailed as failed:
            return _fault(span, failed.category, failed.message)
        except Transient:  # no row's fault
            await self._note(state.model_copy(update={"running": None}))
            raise
        return None

    async def _note(self, state: Isolation) -> None:
        if not await note_isolation(self._work.block, state):
            raise StaleBlock(f"Block {self._work.block.id} was claimed by another.")

    async def _extract(self, span: Span) -> Extraction:
        """Run the extractor on the rows of a stretch that are wanted."""
        index = span.start + np.flatnonzero(self._wanted[span.start : span.stop])
        if not len(index):
            return merge(self._work, [], [])
        try:
            return await self._call(index)
        except ExtractorDied as error:
            raise RowsFailed(error) from error
        except (Transient, Permanent):
            raise
        except Exception as error:
            raise RowsFailed(error) from error


async def extract_rows(
    pool: Pool, work: Work, rows: BlockRows, index: Index, *, progress: ProgressClock
) -> Extraction:
    """Extract some rows of a block in one call."""
    batch = extractor_input(rows.table, work.spec)
    if len(index) == batch.num_rows:
        return await pool.extract(batch, progress)
    found = await pool.extract(batch.take(pa.array(index)), progress)
    documents = found.documents
    place = documents.schema.get_field_index(ROW)
    numbers = pa.array(index[documents.column(ROW).to_numpy()], pa.int32())
    failures = [replace(failure, row=int(index[failure.row])) for failure in found.failures]
    return Extraction(documents.set_column(place, ROW, numbers), failures)


def extractor_input(table: pa.Table, spec: ExtractorSpec) -> pa.RecordBatch:
    """Return the columns that an extractor sees: its inputs under their own names."""
    columns = {item.name: table.column(INPUT + item.name).combine_chunks() for item in spec.inputs}
    return pa.RecordBatch.from_pydict(columns)


def merge(work: Work, parts: Sequence[Extraction], failures: Iterable[RowFailure]) -> Extraction:
    """Put together what different rows of one block yielded, in the order of the rows."""
    failed = [*(failure for part in parts for failure in part.failures), *failures]
    if len(parts) == 1:
        return Extraction(parts[0].documents, failed)
    if not parts:
        return Extraction(stored_schema(work).empty_table(), failed)
    documents = pa.concat_tables([part.documents for part in parts])
    order = np.argsort(documents.column(ROW).to_numpy(), kind="stable")
    return Extraction(documents.take(pa.array(order)), failed)


def stored_schema(work: Work) -> pa.Schema:
    """Return the schema of documents whose media, if any, are on S3 already."""
    outputs = [
        pa.field(one.name, one.arrow if one.media_type is None else pa.large_string())
        for one in work.spec.outputs
    ]
    vectors = [pa.field(one.name, column_type(one)) for one in work.collection.vectors]
    return pa.schema([pa.field(ROW, pa.int32()), *outputs, *vectors])


def _fault(span: Span, category: ErrorCategory, message: str) -> Fault:
    return Fault(start=span.start, stop=span.stop, category=category, message=message)


def _failures(bad: dict[int, Fault]) -> list[RowFailure]:
    return [
        RowFailure(row, fault.category, fault.message, hint=_HINT) for row, fault in bad.items()
    ]
