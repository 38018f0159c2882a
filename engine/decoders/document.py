"""Papers: PDF, HTML, Markdown and Office, cut into pages or sections.

First part: format, title, metadata. Then one part a page or section: kind, heading, text; blobs:
a picture of the page as JPEG when `picture` asks for one of so many pixels, and the file has pages.
"""

import importlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, Final

from engine.decoders.sections import Section, clean
from engine.media.errors import too_much, unreadable
from engine.media.wire import Part

_READERS: Final = {
    "PDF": "engine.decoders.pdf",
    "HTML": "engine.decoders.web_page",
    "MARKDOWN": "engine.decoders.markdown",
    "TEXT": "engine.decoders.markdown",
    "DOCX": "engine.decoders.docx",
    "PPTX": "engine.decoders.pptx",
    "XLSX": "engine.decoders.xlsx",
}
_OFFICE: Final = {
    "word/document.xml": "DOCX",
    "ppt/presentation.xml": "PPTX",
    "xl/workbook.xml": "XLSX",
}
_OLD_OFFICE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML: Final = (b"<!doctype html", b"<html", b"<head", b"<body")
_UNPACKED_BYTES: Final = 512 * 1024 * 1024
_TEXT_CHARACTERS: Final = 2_000_000  # of one page or section


def decode(request: Mapping[str, Any], data: bytes) -> Iterator[Part]:
    """Yield what the file is, then its pages or sections."""
    found = kind_of(data, media_type=request.get("media_type"), url=request.get("url"))
    reader = importlib.import_module(_READERS[found])
    about, sections = reader.read(data, request)
    yield Part({"format": found, **about}, [])
    limit = int(request.get("sections", 5000))
    for number, section in enumerate(sections):
        if number >= limit:
            raise too_much(
                f"It has more than {limit} pages or sections.", hint="Raise max_sections."
            )
        yield _part(section)


def kind_of(data: bytes, *, media_type: str | None, url: str | None) -> str:
    """Return what a file is: by its bytes where they say it, else by what was said of it.

    Raises:
        DecodeFailed: it is nothing that is read here.
    """
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"%PDF-" in data[:1024]:
        return "PDF"
    if start.startswith(b"PK\x03\x04"):
        return _office(data)
    if start.startswith(_OLD_OFFICE):
        raise unreadable("It is a file of Office before 2007.", hint="Save it as DOCX, PPTX, XLSX.")
    if b"\x00" in data[:4096]:
        raise unreadable(
            "It is neither PDF, HTML, Markdown, text nor a file of Office.",
            hint="Look at what is stored at its address; its name does not matter.",
        )
    said, ending = (media_type or "").lower(), (url or "").lower().rpartition(".")[2]
    if start.lower().startswith(_HTML) or "html" in said or ending in ("html", "htm"):
        return "HTML"
    return "TEXT" if said == "text/plain" or ending == "txt" else "MARKDOWN"


def _office(data: bytes) -> str:
    try:
        entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except zipfile.BadZipFile:
        raise unreadable("The file is cut off or damaged.", hint="Upload it again.") from None
    if sum(entry.file_size for entry in entries) > _UNPACKED_BYTES:
        raise too_much(
            f"It unpacks to more than {_UNPACKED_BYTES} bytes.", hint="Split it into smaller files."
        )
    names = {entry.filename for entry in entries}
    for name, found in _OFFICE.items():
        if name in names:
            return found
    raise unreadable(
        "It is an archive, and no file of Office.", hint="Unpack it and register its files."
    )


def _part(section: Section) -> Part:
    if len(section.text) > _TEXT_CHARACTERS:
        raise too_much(
            f"A page or section has more than {_TEXT_CHARACTERS} characters.",
            hint="Split it into smaller files.",
        )
    head = {"kind": section.kind, "heading": clean(section.heading), "text": clean(section.text)}
    return Part(head, [] if section.picture is None else [section.picture])
