"""Markdown, cut at its headings, as it was written; plain text is Markdown without any."""

from collections.abc import Iterator, Mapping
from typing import Any

from markdown_it import MarkdownIt

from engine.decoders.sections import Line, Section, by_headings
from engine.media.errors import unreadable


def read(data: bytes, request: Mapping[str, Any]) -> tuple[dict[str, Any], Iterator[Section]]:
    """Return its first heading as the title, and its sections."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise unreadable(
            f"The text is not UTF-8 at byte {error.start}.", hint="Store it as UTF-8."
        ) from None
    plain_text = request.get("media_type") == "text/plain"
    lines = [Line(text)] if plain_text else list(_lines(text))
    sections = list(by_headings(lines))
    if not sections:
        raise unreadable("The text is empty.", hint="Leave it out of the batch.")
    title = next((section.heading for section in sections if section.heading), None)
    return {"title": title, "metadata": {}}, iter(sections)


def _lines(text: str) -> Iterator[Line]:
    lines = text.splitlines()
    tokens = MarkdownIt("commonmark").parse(text)
    headings = {
        token.map[0]: (token.map[1], tokens[place + 1].content)
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.map and token.level == 0
    }
    number = 0
    while number < len(lines):
        if number in headings:
            number, heading = headings[number]
            yield Line(heading, heading=True)
        else:
            yield Line(lines[number])
            number += 1
