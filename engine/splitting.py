"""Text in pieces by units of one kind, or as large as they may be, with an overlap if asked for.

Units are characters, tokens, words, sentences or paragraphs, and `chunk_size` counts them. For
`recursive` and `markdown` it counts characters, and cuts are made where they hurt least; in
Markdown each heading begins a piece too. Every piece is a slice of the text, and says which; only
blanks between two units can be in no piece. Sentences are found by punctuation and a list of
abbreviations: good for European languages, Chinese and Japanese, wrong now and then, the same every
time. Words are what blanks part; Chinese and Japanese, written without, count by the character.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final, Literal

from engine.headings import find_headings
from engine.packing import Span, pack

SplitBy = Literal[
    "none", "characters", "tokens", "words", "sentences", "paragraphs", "recursive", "markdown"
]
LARGEST_CHUNK: Final = 10_000
LARGEST_OVERLAP: Final = 5_000

# Possessive quantifiers keep each pattern linear whatever the text is.
WITHOUT_SPACES: Final = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD: Final = re.compile(f"[{WITHOUT_SPACES}]|[^\\s{WITHOUT_SPACES}]++")
PARAGRAPH_END: Final = re.compile(r"\n[^\S\n]*+\n\s*+|\u2029\s*+")
SENTENCE_END: Final = re.compile(
    r"(?P<mark>[.!?…]++)[\"'\u201d\u2019»)\]]*+"
    r"|[。\uff01\uff1f｡]++[」』\u201d\uff09\u2019»)\]]*+"
    r"|\n[^\S\n]*+\n|\u2029"
)
OPENING: Final = "([\"'\u201c\u2018«"
# After these a capital, or a number, does not begin a sentence.
BEFORE_NAMES: Final = re.compile(
    r"(mr|mrs|ms|dr|prof|rev|hon|st|sr|gen|col|lt|sgt|capt|adm|gov|sen|rep|pres|mme|mlle|sra|dipl"
    r"|ing|vs|cf|viz|ca|approx|e\.g|i\.e|z\.b|d\.h|u\.a|bzw)",
    re.IGNORECASE,
)
BEFORE_NUMBERS: Final = re.compile(
    r"(nos?|nr|figs?|eq|sec|ch|vols?|pp?|art|para|app"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)",
    re.IGNORECASE,
)
INITIALS: Final = re.compile(r"[A-ZÀ-Þ](?:\.[A-ZÀ-Þ])*")  # J. Smith, U.S. Army
LIST_NUMBER: Final = re.compile(r"(?:\A|\n)[^\S\n]*\d{1,3}\Z")
LOOK_ROUND: Final = 24  # characters before and after a full stop that are read to judge it
LINE: Final = re.compile(r"[^\n]++")


@dataclass(frozen=True, slots=True)
class Piece:
    """A slice of a text: `text == whole[start:end]`."""

    text: str
    start: int
    end: int


def split_text(
    text: str,
    by: SplitBy,
    *,
    chunk_size: int = 1_000,
    chunk_overlap: int = 0,
    tokens: Callable[[str], Iterable[Span]] | None = None,
) -> Iterator[Piece]:
    """Return the pieces of a text in order; a blank text has none.

    Each piece has `chunk_size` units, the last one maybe fewer, and begins with the last
    `chunk_overlap` units of the piece before. Lazy, because a large overlap multiplies the text:
    up to `chunk_size / (chunk_size - chunk_overlap)` times.
    `tokens` finds the tokens of a text, for those who split by them.
    """
    require_chunks(chunk_size, chunk_overlap)
    if by == "tokens":
        if tokens is None:
            raise ValueError("splitting by tokens needs a tokenizer")
        step = chunk_size - chunk_overlap
        spans = _windows(_contiguous(text, tokens(text)), size=chunk_size, step=step)
    else:
        spans = _spans(text, by, size=chunk_size, overlap=chunk_overlap)
    pieces = (Piece(text[start:end], start, end) for start, end in spans)
    return (piece for piece in pieces if piece.text and not piece.text.isspace())


def require_chunks(chunk_size: int, chunk_overlap: int) -> None:
    """Refuse sizes out of range, and an overlap that would never get on."""
    if not 1 <= chunk_size <= LARGEST_CHUNK:
        raise ValueError(f"chunk_size must be from 1 to {LARGEST_CHUNK}, not {chunk_size}")
    if not 0 <= chunk_overlap <= LARGEST_OVERLAP:
        raise ValueError(f"chunk_overlap must be from 0 to {LARGEST_OVERLAP}, not {chunk_overlap}")
    if chunk_overlap >= chunk_size:
        raise ValueError(
            f"chunk_overlap must be less than chunk_size: {chunk_overlap}, {chunk_size}"
        )


def _spans(text: str, by: SplitBy, *, size: int, overlap: int) -> Iterator[Span]:
    step = size - overlap
    match by:
        case "none":
            return iter([(0, len(text))] if text else [])
        case "characters":
            return _slices(len(text), size=size, step=step)
        case "words":
            units: Iterable[Span] = _words(text)
        case "sentences":
            units = _trimmed(text, _sentences(text))
        case "paragraphs":
            units = _trimmed(text, _paragraphs(text))
        case "recursive":
            return _packed(text, (0, len(text)), size=size, overlap=overlap)
        case _:
            return _sections(text, size=size, overlap=overlap)
    return _windows(units, size=size, step=step)


def _packed(text: str, span: Span, *, size: int, overlap: int) -> Iterator[Span]:
    """Cut a part of a text down to `size` characters: at paragraphs first, in words last."""
    cuts = (_trimmed_paragraphs, _lines, _trimmed_sentences, _words)
    return _forward(_trimmed(text, pack(text, span, size=size, overlap=overlap, cuts=cuts)))


def _forward(spans: Iterable[Span]) -> Iterator[Span]:
    """Leave out each span that a neighbour holds: without its blanks one may shrink to that."""
    before: Span | None = None
    for span in spans:
        if before is not None:
            if before[1] >= span[1]:
                continue
            if before[0] < span[0]:
                yield before
        before = span
    if before is not None:
        yield before


def _sections(text: str, *, size: int, overlap: int) -> Iterator[Span]:
    """Begin a piece at each heading; no piece reaches back over one."""
    places = [0, *(place for place in find_headings(text) if place), len(text)]
    for span in pairwise(places):
        yield from _packed(text, span, size=size, overlap=overlap)


def _contiguous(text: str, tokens: Iterable[Span]) -> Iterator[Span]:
    """Stretch each token to the next: what a tokenizer passes over belongs to a piece as well."""
    start = 0
    for first, _ in islice(tokens, 1, None):
        place = max(first, start)
        yield _without_blanks(text, start, place)
        start = place
    yield _without_blanks(text, start, len(text))


def _without_blanks(text: str, start: int, end: int) -> Span:
    unit = text[start:end]
    start += len(unit) - len(unit.lstrip())
    return start, start + len(unit.strip())


def _slices(length: int, *, size: int, step: int) -> Iterator[Span]:
    for start in range(0, length, step):
        yield start, min(start + size, length)
        if start + size >= length:
            return


def _windows(units: Iterable[Span], *, size: int, step: int) -> Iterator[Span]:
    """Join `size` units at a time, `step` further each time; holds no more than one window."""
    window: deque[Span] = deque()
    fresh = 0  # units that no window has had yet
    for unit in units:
        window.append(unit)
        fresh += 1
        if len(window) == size:
            yield window[0][0], window[-1][1]
            fresh = 0
            for _ in range(step):
                window.popleft()
    if fresh:
        yield window[0][0], window[-1][1]


def _paragraphs(text: str) -> Iterator[Span]:
    return _between(text, PARAGRAPH_END.finditer(text))


def _trimmed_paragraphs(text: str) -> Iterator[Span]:
    return _trimmed(text, _paragraphs(text))


def _trimmed_sentences(text: str) -> Iterator[Span]:
    return _trimmed(text, _sentences(text))


def _lines(text: str) -> Iterator[Span]:
    return _trimmed(text, (match.span() for match in LINE.finditer(text)))


def _words(text: str) -> Iterator[Span]:
    return (match.span() for match in WORD.finditer(text))


def _between(text: str, ends: Iterable[re.Match[str]]) -> Iterator[Span]:
    start = 0
    for match in ends:
        yield start, match.end()
        start = match.end()
    yield start, len(text)


def _trimmed(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """Take the blanks off both ends of each span, and leave out those that are blank."""
    for start, end in spans:
        unit = text[start:end]
        if inner := unit.strip():
            start += len(unit) - len(unit.lstrip())
            yield start, start + len(inner)


def _sentences(text: str) -> Iterator[Span]:
    ends = (match for match in SENTENCE_END.finditer(text) if _ends_sentence(text, match))
    return _between(text, ends)


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    """Judge a mark by what follows it and, for a full stop, by the word before it."""
    mark = match["mark"]
    if mark is None or match.end() == len(text):
        return True
    if not text[match.end()].isspace():
        return False
    following = text[match.end() : match.end() + LOOK_ROUND].lstrip()
    if following[:1].islower():
        return False
    before = text[max(0, match.start() - LOOK_ROUND) : match.start()]
    return mark != "." or not _is_shortened(before, number_follows=following[:1].isdigit())


def _is_shortened(before: str, *, number_follows: bool) -> bool:
    """Say whether the full stop after `before` belongs to its last word, or numbers a list."""
    if LIST_NUMBER.search(before):
        return True
    words = before.split()
    word = words[-1].lstrip(OPENING) if words and not before[-1].isspace() else ""
    if BEFORE_NAMES.fullmatch(word) or INITIALS.fullmatch(word):
        return True
    return number_follows and BEFORE_NUMBERS.fullmatch(word) is not None
