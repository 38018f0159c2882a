"""Word: paragraphs and tables in their order, cut at the headings."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

import docx
from docx.table import Table

from engine.decoders.sections import Line, Section, by_headings, plain
from engine.media.errors import unreadable


def read(data: bytes, _: Mapping[str, Any]) -> tuple[dict[str, Any], Iterator[Section]]:
    """Return what the file says of itself, and its sections."""
    document = docx.Document(io.BytesIO(data))
    known = document.core_properties
    sections = list(by_headings(_lines(document)))
    if not sections:
        raise unreadable("The document holds no text.", hint="Leave it out of the batch.")
    metadata = plain({"author": known.author, "subject": known.subject, "language": known.language})
    return {"title": known.title or None, "metadata": metadata}, iter(sections)


def _lines(document: Any) -> Iterator[Line]:
    for item in document.iter_inner_content():
        if isinstance(item, Table):
            for row in item.rows:
                yield Line("\t".join(cell.text.strip() for cell in row.cells))
        else:
            style = item.style.name if item.style is not None else ""
            yield Line(item.text, heading=style.startswith(("Heading", "Title")))
