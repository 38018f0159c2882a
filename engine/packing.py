"""Text in pieces of at most so many characters, cut where it hurts least.

What is small enough stays whole: a paragraph, then a line, a sentence, a word. Whole neighbours are
joined as long as they fit. Pure functions; every piece is a slice of the text.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

Span = tuple[int, int]
Cut = Callable[[str], Iterable[Span]]
_BLANK: Final = re.compile(r"\s+")


def pack(
    text: str, span: Span, *, size: int, overlap: int, cuts: tuple[Cut, ...]
) -> Iterator[Span]:
    """Yield the pieces of a part of a text; `cuts` from the coarsest to the finest.

    A piece begins with up to `overlap` characters of the one before it, from the start of a word
    where there is one.
    """
    earliest, _ = span
    for start, end in _cut(text, span, size - overlap, cuts):
        begin = _reach_back(text, start, max(earliest, start - overlap))
        earliest = begin + 1  # or a long overlap would bring the whole piece back
        yield begin, end


def _cut(text: str, span: Span, most: int, cuts: tuple[Cut, ...]) -> Iterator[Span]:
    """Yield parts of at most `most` characters: runs of whole units, and what is left of larger."""
    start, end = span
    if end - start <= most:
        yield span
    elif not cuts:
        for place in range(start, end, most):
            yield place, min(place + most, end)
    else:
        units = ((start + first, start + last) for first, last in cuts[0](text[start:end]))
        for run in _runs(units, most):
            yield from _cut(text, run, most, cuts[1:])


def _runs(units: Iterable[Span], most: int) -> Iterator[Span]:
    """Join neighbours that fit together; one that is too large by itself stays alone."""
    run: Span | None = None
    for start, end in units:
        if run is not None and end - run[0] <= most:
            run = (run[0], end)
            continue
        if run is not None:
            yield run
        run = (start, end)
    if run is not None:
        yield run


def _reach_back(text: str, start: int, earliest: int) -> int:
    """Return where a piece begins that repeats the end of the one before it."""
    if earliest in (0, start) or text[earliest - 1].isspace():
        return earliest
    blank = _BLANK.search(text, earliest, start)
    return blank.end() if blank else earliest
