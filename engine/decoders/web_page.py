"""HTML by lexbor: what a reader sees, cut at its headings."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from selectolax.lexbor import LexborHTMLParser

from engine.decoders.sections import Line, Section, by_headings, plain, squeezed
from engine.media.errors import unreadable

_UNSEEN: Final = ["script", "style", "noscript", "template", "svg", "iframe", "head"]
_HEADINGS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_FLOWING: Final = frozenset(
    """a abbr b bdi bdo cite code data del dfn em font i ins kbd label mark q s samp small span
    strong sub sup time tt u var wbr -text""".split()  # noqa: SIM905  # a list of tags reads so
)


def read(data: bytes, _: Mapping[str, Any]) -> tuple[dict[str, Any], Iterator[Section]]:
    """Return what the page says of itself, and its sections."""
    tree = LexborHTMLParser(data)
    title = tree.css_first("title")
    named = {
        node.attributes.get("name"): node.attributes.get("content") for node in tree.css("meta")
    }
    language = tree.root.attributes.get("lang") if tree.root else None
    metadata = plain({**{str(k): v for k, v in named.items() if k}, "language": language})
    about = {"title": squeezed(title.text()).strip() if title else None, "metadata": metadata}
    tree.strip_tags(_UNSEEN)
    sections = list(by_headings(_lines(tree)))
    if not sections:
        raise unreadable(
            "The page holds no text.", hint="It may be made by a script; save what it shows."
        )
    return about, iter(sections)


def _lines(tree: LexborHTMLParser) -> Iterator[Line]:
    """Yield a line for each run of text that no block interrupts."""
    if tree.body is None:
        return
    said = list[str]()
    heading = False
    for node in tree.body.traverse(include_text=True):
        tag = node.tag or ""
        if tag == "-text":
            inside = _in_heading(node)
            if inside != heading:
                yield from _line(said, heading)
                said, heading = [], inside
            said.append(node.text_content or "")
        elif tag not in _FLOWING or tag == "br":
            yield from _line(said, heading)
            said, heading = [], tag in _HEADINGS
    yield from _line(said, heading)


def _line(said: list[str], heading: bool) -> Iterator[Line]:
    text = " ".join("".join(said).split())
    if text:
        yield Line(text, heading)


def _in_heading(node: Any) -> bool:
    above = node.parent
    while above is not None and above.tag in _FLOWING:
        above = above.parent
    return above is not None and above.tag in _HEADINGS
