"""Pages and sections, whatever the format they come from."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["page", "section", "slide", "sheet"]
_BLANKS: Final = re.compile(r"[ \t\xa0]+")
_GAPS: Final = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class Section:
    """A page, or a heading with what stands under it."""

    kind: Kind
    text: str
    heading: str = ""
    picture: bytes | None = None


@dataclass(frozen=True)
class Line:
    """A piece of a text in its order; a heading opens a section."""

    text: str
    heading: bool = False


def by_headings(lines: Iterable[Line]) -> Iterator[Section]:
    """Gather lines under their headings; what is empty is left out, a heading alone is not."""
    heading, under = "", list[str]()
    for line in lines:
        if line.heading:
            yield from _section(heading, under)
            heading, under = line.text.strip(), []
        else:
            under.append(line.text)
    yield from _section(heading, under)


def _section(heading: str, under: list[str]) -> Iterator[Section]:
    text = _GAPS.sub("\n\n", "\n".join(under)).strip()
    if heading or text:
        yield Section("section", "\n".join(part for part in (heading, text) if part), heading)


def clean(text: str) -> str:
    """Return text that can be stored: no lone surrogates, no NUL, no trailing space."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "")
    return whole.replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe", "").strip()


def squeezed(text: str) -> str:
    """Return text with each run of blanks as one."""
    return _BLANKS.sub(" ", text)


def plain(values: dict[str, Any]) -> dict[str, str]:
    """Return metadata as texts, without what is empty."""
    texts = {name: clean(str(value))[:2000] for name, value in values.items() if value is not None}
    return {name: text for name, text in texts.items() if text}
