"""Where the sections of a Markdown text begin: at its top-level headings, found line by line.

Headings in the manner of CommonMark, `# Title` and a paragraph underlined with `===` or `---`. Not
those in quotes, lists and fenced or indented code. A quote or a list is taken to end with a blank
line, and blocks of raw HTML are not looked for: what that gets wrong is a cut too many or too few.
Linear in the text and quick: a full parser takes ten seconds for a megabyte.
"""

import re
from collections.abc import Iterator
from typing import Final

_LINE: Final = re.compile(r"[^\r\n]*+(?:\r\n|\r|\n|\Z)")
_ATX: Final = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_UNDERLINE: Final = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
_FENCE: Final = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})(?P<info>.*)$")
_RULE: Final = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_CONTAINER: Final = re.compile(r" {0,3}(?:>|[-+*](?:[ \t]|$)|\d{1,9}[.)](?:[ \t]|$))")
_INTERRUPTS: Final = re.compile(r" {0,3}(?:>|[-+*][ \t]+\S|1[.)][ \t]+\S)")  # a paragraph
_INDENTED: Final = re.compile(r" {4}| {0,3}\t")


def find_headings(text: str) -> Iterator[int]:
    """Yield the place of the first character of each heading's line."""
    lines = _Lines()
    for match in _LINE.finditer(text):
        if match.end() == match.start():
            continue
        yield from lines.read(match.group().rstrip("\r\n"), match.start())


class _Lines:
    """What the lines so far mean for the next one."""

    def __init__(self) -> None:
        self._fence = ""  # that opened the code we are in
        self._paragraph: int | None = None  # where the one we are in began
        self._inside = False  # a quote or a list, whose lazy lines go on until a blank one

    def read(self, line: str, start: int) -> Iterator[int]:
        """Yield the start of the heading that this line completes, if it does."""
        if self._fence:
            self._close(line)
        elif not line.strip():
            self._paragraph, self._inside = None, False
        elif fence := self._opened(line):
            self._fence, self._paragraph, self._inside = fence, None, False
        elif _ATX.match(line):
            self._paragraph, self._inside = None, False
            yield start
        elif self._paragraph is not None and _UNDERLINE.match(line):
            yield self._paragraph
            self._paragraph = None
        else:
            self._text(line, start)

    def _text(self, line: str, start: int) -> None:
        if _RULE.match(line):
            self._paragraph, self._inside = None, False
        elif self._paragraph is None and not self._inside:
            self._inside = _CONTAINER.match(line) is not None
            self._paragraph = None if self._inside or _INDENTED.match(line) else start
        elif self._paragraph is not None and _INTERRUPTS.match(line):
            self._paragraph, self._inside = None, True

    def _opened(self, line: str) -> str:
        match = _FENCE.match(line)
        if match is None or (match["fence"][0] == "`" and "`" in match["info"]):
            return ""
        return match["fence"]

    def _close(self, line: str) -> None:
        match = _FENCE.match(line)
        if match and not match["info"].strip() and match["fence"].startswith(self._fence):
            self._fence = ""
