"""Finds the rows that fail whatever they are extracted with: the whole twice, then ever smaller.

Pure: a search is told what failed and what passed, and names the stretch of rows to be run next.
What failed is all that must be remembered; it is kept in MongoDB (`models.block.Fault`), so a
search goes on where a dead process left it. One bad row of n costs at most 2 log2(n) + 2 runs
beside the first of the whole, for a half whose sibling passed needs no run to be suspected.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from models.block import Fault

_CONFIRMED: Final = 2  # failures of the whole, and of one row, until they are believed
_BAD_ROWS: Final = 16  # that one block may hold before its search is given up
_PROBED_FROM: Final = 8  # rows; a smaller block is searched row by row sooner than it is probed


@dataclass(frozen=True)
class Span:
    """Rows from `start` up to but not including `stop`."""

    start: int
    stop: int

    @property
    def rows(self) -> int:
        """How many."""
        return self.stop - self.start

    def halves(self) -> "tuple[Span, Span]":
        """The smaller half first: it is the one that may cost two runs."""
        middle = self.start + self.rows // 2
        return Span(self.start, middle), Span(middle, self.stop)


class Search:
    """The search for the bad rows of one block of `rows` rows."""

    def __init__(self, rows: int, faults: Iterable[Fault]) -> None:
        self._whole = Span(0, rows)
        self._failures: Counter[Span] = Counter()
        self._causes: dict[Span, Fault] = {}
        self._passed: set[Span] = set()
        for fault in faults:
            self.fail(fault)

    @property
    def run_limit(self) -> int:
        """Runs after which what is still suspected is given up."""
        return _BAD_ROWS * (2 * self._whole.rows.bit_length() + 1)

    def fail(self, fault: Fault) -> None:
        """Take note that a stretch of rows failed as a whole."""
        span = Span(fault.start, fault.stop)
        self._failures[span] += 1
        self._causes[span] = fault

    def succeed(self, span: Span) -> None:
        """Take note that a stretch of rows passed."""
        self._passed.add(span)

    def next(self) -> Span | None:
        """Return what is to be run next, or None when every row is settled."""
        for probe in self._probes:
            if self._is_unknown(probe):
                return probe
        return None if self.hopeless else next(self._open(self._whole), None)

    @property
    def hopeless(self) -> bool:
        """Both halves failed and so did single rows picked from all over: no row will pass."""
        return bool(self._probes) and all(self._failures[probe] for probe in self._probes)

    def passed(self) -> list[Span]:
        """Return the largest stretches that passed, in order."""
        return [span for span in self._leaves(self._whole) if span in self._passed]

    def bad(self) -> dict[int, Fault]:
        """Return the rows that have not passed, each with the narrowest failure that it was in."""
        found: dict[int, Fault] = {}
        for span in self._leaves(self._whole):
            if span not in self._passed:
                cause = self._cause(span)
                found.update((row, cause) for row in range(span.start, span.stop))
        return found

    @property
    def cause(self) -> Fault:
        """Why the whole failed, the last time."""
        return self._causes[self._whole]

    @property
    def _probes(self) -> list[Span]:
        rows = self._whole.rows
        halves = self._whole.halves()
        if rows < _PROBED_FROM or not all(self._failures[half] for half in halves):
            return []
        return [Span(row, row + 1) for row in (rows // 6, rows // 2, 5 * rows // 6)]

    def _is_unknown(self, span: Span) -> bool:
        return span not in self._passed and not self._failures[span]

    def _is_believed(self, span: Span) -> bool:
        twice = span == self._whole or span.rows == 1
        return self._failures[span] >= (_CONFIRMED if twice else 1)

    def _open(self, span: Span, *, suspected: bool = False) -> Iterator[Span]:
        """Yield what has to be run within a stretch; `suspected` ones are searched unrun."""
        if span in self._passed:
            return
        if not self._is_believed(span) and (not suspected or span.rows == 1):
            yield span
            return
        if span.rows > 1:
            left, right = span.halves()
            if self._failures[left] and self._is_unknown(right):
                yield right  # both halves before the quarters: it may be that every row fails
            yield from self._open(left)
            yield from self._open(right, suspected=left in self._passed)

    def _leaves(self, span: Span) -> Iterator[Span]:
        """Yield the stretches that were searched no further, in order."""
        if span in self._passed or span.rows == 1 or not self._is_searched(span):
            yield span
            return
        for half in span.halves():
            yield from self._leaves(half)

    def _is_searched(self, span: Span) -> bool:
        return self._is_believed(span) or not self._is_unknown(span.halves()[0])

    def _cause(self, span: Span) -> Fault:
        around = [one for one in self._causes if one.start <= span.start and span.stop <= one.stop]
        return self._causes[min(around, key=lambda one: one.rows)]
