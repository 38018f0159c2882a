"""PDF by PDFium: the text of each page as it is read, and its picture."""

import io
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pypdfium2

from engine.decoders.sections import Section, clean, plain
from engine.media.errors import unreadable

_SCALE: Final = 8.0  # at most: a stamp-sized page is not blown up to a poster
_JPEG_QUALITY: Final = 85


def read(data: bytes, request: Mapping[str, Any]) -> tuple[dict[str, Any], Iterator[Section]]:
    """Return what the file says of itself, and its pages."""
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise unreadable(
                "The PDF is locked by a password.", hint="Save it without one."
            ) from None
        raise unreadable(f"The PDF is damaged: {error}", hint="Upload it again.") from None
    metadata = plain(document.get_metadata_dict(skip_empty=True))
    about = {"title": metadata.pop("Title", None), "metadata": metadata, "pages": len(document)}
    return about, _pages(document, int(request.get("picture", 0)))


def _pages(document: Any, side: int) -> Iterator[Section]:
    for number in range(len(document)):
        try:
            page = document[number]
            text = page.get_textpage().get_text_range()
            picture = _picture(page, side) if side else None
            page.close()
        except pypdfium2.PdfiumError as error:
            raise unreadable(
                f"Page {number + 1} of the PDF is damaged: {error}", hint="Upload it again."
            ) from None
        lines = clean(text).splitlines()
        yield Section("page", "\n".join(lines), lines[0].strip() if lines else "", picture)


def _picture(page: Any, side: int) -> bytes:
    scale = min(side / max(*page.get_size(), 1.0), _SCALE)
    body = io.BytesIO()
    page.render(scale=scale).to_pil().convert("RGB").save(body, "JPEG", quality=_JPEG_QUALITY)
    return body.getvalue()
