"""PowerPoint: one section a slide, with its notes."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

import pptx

from engine.decoders.sections import Section, plain


def read(data: bytes, _: Mapping[str, Any]) -> tuple[dict[str, Any], Iterator[Section]]:
    """Return what the file says of itself, and its slides."""
    presentation = pptx.Presentation(io.BytesIO(data))
    known = presentation.core_properties
    metadata = plain({"author": known.author, "subject": known.subject})
    about = {"title": known.title or None, "metadata": metadata}
    return about, (_slide(slide) for slide in presentation.slides)


def _slide(slide: Any) -> Section:
    title = slide.shapes.title
    heading = title.text_frame.text.strip() if title is not None else ""
    texts = [text for shape in slide.shapes for text in _texts(shape)]
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        texts.append(slide.notes_slide.notes_text_frame.text)
    return Section("slide", "\n".join(text.strip() for text in texts if text.strip()), heading)


def _texts(shape: Any) -> Iterator[str]:
    if shape.has_text_frame:
        yield shape.text_frame.text
    elif getattr(shape, "has_table", False):
        for row in shape.table.rows:
            yield "\t".join(cell.text for cell in row.cells)
    elif hasattr(shape, "shapes"):  # a group
        for inner in shape.shapes:
            yield from _texts(inner)
