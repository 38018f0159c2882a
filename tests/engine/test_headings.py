"""Held against a full Markdown parser, an independent reading of the same rules."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from engine.headings import find_headings

PARSER = MarkdownIt("commonmark").disable(["inline", "html_block", "reference"])
LINES = [
    "# One", "## Two ##", "#no heading", "###", "   # three blanks", "    # four blanks", "text",
    "more text", "===", "---", "- - -", "***", "```", "~~~", "```python", "``` a`b", "````",
    "> # quoted\n> text\n\npart", "- item\n- # in a list\n\npart", "1. first\n---\npart",
    "  indented", "\tcode",
    "", "", " ",
]  # fmt: skip


def parsed(text: str) -> list[int]:
    """Return where the parser's top-level headings begin."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return [
        starts[token.map[0]]
        for token in PARSER.parse(text)
        if token.type == "heading_open" and token.level == 0 and token.map
    ]


@given(lines=st.lists(st.sampled_from(LINES), max_size=12), end=st.sampled_from(["\n", "\r\n"]))
def test_finds_the_headings_that_a_parser_finds(lines: list[str], end: str) -> None:
    text = end.join(lines)

    assert list(find_headings(text)) == parsed(text)


def test_a_heading_of_several_lines_begins_with_its_first() -> None:
    assert list(find_headings("x\n\na\nb\n===\n")) == [3]


@pytest.mark.parametrize(
    "line", ["a\n", "# a\n", "> a\n", "```\n", "- ", " " * 9, "-" * 9, "`" * 9]
)
def test_takes_time_in_proportion_to_the_text(line: str) -> None:
    text = line * 30_000
    began = time.process_time()

    assert sum(1 for _ in find_headings(text)) <= 30_000

    assert time.process_time() - began < 5
