import re
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.splitting import Piece, SplitBy, split_text

ALPHABET = "aB1 .!?\n\t\"')中。\u2029é🙂\ud800\u00a0"
UNITS: list[SplitBy] = ["characters", "words", "sentences", "paragraphs"]
PACKED: list[SplitBy] = ["recursive", "markdown"]
ANY: list[SplitBy] = ["none", "tokens", *UNITS, *PACKED]
texts = st.text(alphabet=ALPHABET, max_size=120) | st.text(max_size=60)


@st.composite
def chunks(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(st.integers(1, 12))
    return size, draw(st.integers(0, size - 1))


def pieces(text: str, by: SplitBy, size: int = 1, overlap: int = 0) -> list[Piece]:
    return list(split_text(text, by, chunk_size=size, chunk_overlap=overlap, tokens=letters))


def letters(text: str) -> Iterator[tuple[int, int]]:
    """Some tokens: letters and digits, as a tokenizer that passes over all else would find them."""
    return (match.span() for match in re.finditer(r"\w", text))


def said(text: str, by: SplitBy, size: int = 1, overlap: int = 0) -> list[str]:
    return [piece.text for piece in pieces(text, by, size, overlap)]


@given(text=texts, by=st.sampled_from(ANY), chunk=chunks())
def test_each_piece_is_the_slice_it_names(text: str, by: SplitBy, chunk: tuple[int, int]) -> None:
    for piece in pieces(text, by, *chunk):
        assert piece.text == text[piece.start : piece.end]
        assert piece.text.strip()


@given(text=texts, by=st.sampled_from(ANY), chunk=chunks())
def test_only_blanks_are_in_no_piece(text: str, by: SplitBy, chunk: tuple[int, int]) -> None:
    covered = {place for p in pieces(text, by, *chunk) for place in range(p.start, p.end)}

    left_out = "".join(text[place] for place in range(len(text)) if place not in covered)

    assert not left_out.strip()


@given(text=texts, by=st.sampled_from(ANY), chunk=chunks())
def test_pieces_move_forward(text: str, by: SplitBy, chunk: tuple[int, int]) -> None:
    found = pieces(text, by, *chunk)

    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(found))


@given(text=texts, by=st.sampled_from(["words", "sentences", "paragraphs"]), chunk=chunks())
def test_pieces_are_windows_over_the_units(text: str, by: SplitBy, chunk: tuple[int, int]) -> None:
    size, overlap = chunk
    units = pieces(text, by)

    spans = [(piece.start, piece.end) for piece in pieces(text, by, size, overlap)]

    first = range(0, max(1, len(units) - overlap), size - overlap) if units else []
    windows = [units[start : start + size] for start in first]
    assert spans == [(window[0].start, window[-1].end) for window in windows]


@given(text=texts.filter(str.isalnum), chunk=chunks())
def test_neighbours_share_the_overlap_in_characters(text: str, chunk: tuple[int, int]) -> None:
    size, overlap = chunk
    found = pieces(text, "characters", size, overlap)

    assert all(a.end - b.start == overlap for a, b in pairwise(found))
    assert all(len(piece.text) == size for piece in found[:-1])
    assert 0 < len(found[-1].text) <= size


@given(text=texts, by=st.sampled_from(["words", "sentences", "paragraphs"]))
def test_units_never_overlap(text: str, by: SplitBy) -> None:
    assert all(a.end <= b.start for a, b in pairwise(pieces(text, by)))


def test_none_keeps_the_text_whole() -> None:
    assert pieces(" a b. c \n", "none") == [Piece(" a b. c \n", 0, 9)]


@pytest.mark.parametrize("by", ["none", *UNITS])
@pytest.mark.parametrize("blank", ["", " \n\t\n "])
def test_a_blank_text_has_no_pieces(by: SplitBy, blank: str) -> None:
    assert pieces(blank, by) == []


def test_words_keep_what_is_between_them() -> None:
    assert said("one  two\nthree four", "words", 2, 1) == ["one  two", "two\nthree", "three four"]


def test_chinese_and_japanese_words_are_characters() -> None:
    assert said("今日はgood day", "words") == ["今", "日", "は", "good", "day"]


def test_no_last_piece_lies_inside_the_one_before() -> None:
    assert said("a b c d", "words", 2, 1) == ["a b", "b c", "c d"]
    assert said("abcd", "characters", 2, 1) == ["ab", "bc", "cd"]


def test_paragraphs_end_at_blank_lines_only() -> None:
    text = "one\nstill one\r\n \r\ntwo\n\n\n\nthree"

    assert said(text, "paragraphs") == ["one\nstill one", "two", "three"]


@pytest.mark.parametrize(
    "sentences",
    [
        ["It rains.", "Is it late?", "Yes!", "Then go."],
        ["Dr. Smith met Mrs. J. R. Jones in the U.S. Army at 5 p.m.", "The rest is history."],
        [
            "See e.g. Figure 2 and fig. 3, i.e. both.",
            "Pi is 3.14.",
            "No.",
            "Read No. 5 etc.",
            "End",
        ],
        ['"Really?" she asked.', "(It was.)", "“Quite.”", "Wait...", "What?!", "Yahoo! is fine."],
        ["It cost 5.", "Version 2.0.1 of example.org is out.", "In 1999.", "2000 followed"],
        ["今日は。", "元気ですか？", "「はい。」", "終わり"],  # noqa: RUF001  as it is written
        ["Почему?", "Потому что.", "Да!", "Это всё."],
    ],
)
def test_sentences_end_where_a_reader_ends_them(sentences: list[str]) -> None:
    seam = "" if sentences[0].startswith("今") else " "

    assert said(seam.join(sentences), "sentences") == sentences


def test_numbers_of_a_list_begin_their_sentence() -> None:
    assert said("Buy:\n\n1. Milk.\n2. Bread.", "sentences") == ["Buy:", "1. Milk.", "2. Bread."]


def test_a_sentence_ends_with_its_paragraph() -> None:
    assert said("A title\n\nand a text", "sentences") == ["A title", "and a text"]


@pytest.mark.parametrize(
    ("size", "overlap", "named"),
    [
        (0, 0, "chunk_size"),
        (10_001, 0, "chunk_size"),
        (10, -1, "chunk_overlap"),
        (10_000, 5_001, "chunk_overlap"),
        (5, 5, "chunk_overlap"),
        (5, 6, "chunk_overlap"),
    ],
)
def test_refuses_sizes_out_of_range(size: int, overlap: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        pieces("text", "words", size, overlap)


def hostile() -> Iterator[tuple[str, str]]:
    """Texts on which a careless pattern takes quadratic time; 2 MB each."""
    million = 1_000_000
    yield "full stops", "." * 2 * million + "a"
    yield "stops without blanks", "a." * million
    yield "brackets", ".)" * million
    yield "lines", "\n " * million
    yield "one line break", "\n" + " " * 2 * million + "x"
    yield "no blank", "x" * 2 * million
    yield "digits", "\n" + "1" * 2 * million


@pytest.mark.parametrize("by", UNITS)
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in hostile()])
def test_hostile_texts_take_linear_time(by: SplitBy, text: str) -> None:
    started = time.process_time()

    count = sum(1 for _ in split_text(text, by, chunk_size=100, chunk_overlap=10))

    assert count <= len(text) // 90 + 1
    assert time.process_time() - started < 5  # 0.3 s alone; quadratic would be hours


@given(text=texts, by=st.sampled_from(PACKED), chunk=chunks())
def test_no_packed_piece_is_larger_than_asked(
    text: str, by: SplitBy, chunk: tuple[int, int]
) -> None:
    assert all(len(piece.text) <= chunk[0] for piece in pieces(text, by, *chunk))


CHAPTER = "One two.\nThree four.\n\nFive six. Seven eight nine ten.\n\nEnd."


def test_a_recursive_cut_is_made_where_it_hurts_least() -> None:
    assert said(CHAPTER, "recursive", 40) == [
        "One two.\nThree four.", "Five six. Seven eight nine ten.\n\nEnd.",
    ]  # fmt: skip
    assert said(CHAPTER, "recursive", 20) == [
        "One two.\nThree four.", "Five six.", "Seven eight nine", "ten.", "End.",
    ]  # fmt: skip
    assert said("abcdefgh", "recursive", 3) == ["abc", "def", "gh"]


def test_an_overlap_of_packed_pieces_begins_with_a_word() -> None:
    assert said("one two three four five", "recursive", 14, 6) == [
        "one two", "two three", "three four", "four five",
    ]  # fmt: skip


def test_each_heading_begins_a_piece_of_its_own() -> None:
    text = "Intro.\n\n# One\n\nText.\n\n## Two\n```\n# no heading\n```\nThree\n=====\nEnd."

    assert said(text, "markdown", 1_000) == [
        "Intro.", "# One\n\nText.", "## Two\n```\n# no heading\n```", "Three\n=====\nEnd.",
    ]  # fmt: skip


def test_a_long_section_is_cut_and_no_piece_reaches_over_its_heading() -> None:
    assert said("# One\n\nfirst words here\n\n# Two\n\nlast", "markdown", 18, 6) == [
        "# One", "One\n\nfirst words", "words here", "# Two\n\nlast",
    ]  # fmt: skip
