import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import docx
import openpyxl
import pptx
import pytest
from PIL import Image

from engine.media import MediaExtractor
from engine.spec import Extraction
from tests.engine.extracting import extract, extractor, failures
from tests.media import pdf, picture

HTML = b"""<!doctype html><html lang="en"><head><title>On  strata</title><style>p {}</style>
<meta name="author" content="Steno"></head><body>Before all.<h1>Of <b>rock</b></h1>
<p>One<br>two <i>thr</i>ee.</p><script>alert(1)</script><ul><li>a<li>b</ul>
<h2>Of time</h2><div>Deep &amp; slow.</div></body></html>"""
MARKDOWN = """Preface.

# First

One *two*.

```
# no heading
```

Second
------

- three
"""


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaExtractor]:
    made = extractor("document@v1", tmp_path_factory.mktemp("cache"), max_sections=20)
    yield made
    made.close()


def sections(found: Extraction) -> list[tuple[Any, ...]]:
    assert failures(found) == {}
    rows = found.documents.to_pylist()
    return [(row["number"], row["kind"], row["heading"], row["text"]) for row in rows]


def test_a_pdf_makes_a_document_of_each_page(papers: MediaExtractor) -> None:
    found = extract(papers, pdf("Of rock.", "Of time.", "", title="Strata"))

    assert sections(found) == [
        (1, "page", "Of rock.", "Of rock."),
        (2, "page", "Of time.", "Of time."),
        (3, "page", None, None),  # a page without text
    ]
    first = found.documents.to_pylist()[0]
    assert (first["format"], first["title"], first["picture"]) == ("PDF", "Strata", None)
    assert json.loads(first["metadata"]) == {"Author": "Strata"}


def test_pages_are_pictured_when_asked_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    papers = extractor("document@v1", tmp_path_factory.mktemp("cache"), picture=200)

    (row,) = extract(papers, pdf("Of rock.")).documents.to_pylist()

    page = Image.open(io.BytesIO(row["picture"]))
    assert (page.format, page.size) == ("JPEG", (200, 150))
    tones = page.convert("L").tobytes()
    assert (min(tones) < 100, max(tones) > 200) == (True, True)  # something is written on it
    papers.close()


def test_html_is_cut_at_its_headings(papers: MediaExtractor) -> None:
    found = extract(papers, HTML)

    assert sections(found) == [
        (1, "section", None, "Before all."),
        (2, "section", "Of rock", "Of rock\nOne\ntwo three.\na\nb"),
        (3, "section", "Of time", "Of time\nDeep & slow."),
    ]
    first = found.documents.to_pylist()[0]
    assert (first["format"], first["title"]) == ("HTML", "On strata")
    assert json.loads(first["metadata"]) == {"author": "Steno", "language": "en"}


def test_markdown_is_cut_at_its_headings(papers: MediaExtractor) -> None:
    found = extract(papers, MARKDOWN.encode())

    assert sections(found) == [
        (1, "section", None, "Preface."),
        (2, "section", "First", "First\nOne *two*.\n\n```\n# no heading\n```"),
        (3, "section", "Second", "Second\n- three"),
    ]


def test_plain_text_has_no_headings(papers: MediaExtractor) -> None:
    found = extract(papers, (b"# no heading\n", "text/plain"))

    assert sections(found) == [(1, "section", None, "# no heading")]
    assert found.documents["format"].to_pylist() == ["TEXT"]


def word() -> bytes:
    document = docx.Document()
    document.core_properties.title = "Memo"
    document.add_heading("Rock", 1)
    document.add_paragraph("Hard.")
    table = document.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "a", "b"
    document.add_heading("Time", 1)
    document.add_paragraph("Long.")
    body = io.BytesIO()
    document.save(body)
    return body.getvalue()


def slides() -> bytes:
    presentation = pptx.Presentation()
    for title in ("Rock", "Time"):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = f"About {title.lower()}."
    slide.notes_slide.notes_text_frame.text = "Be slow."
    body = io.BytesIO()
    presentation.save(body)
    return body.getvalue()


def sheets() -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "Layers"
    book.active.append(["name", "age"])
    book.active.append(["chalk", 66, None])
    book.create_sheet("Empty")
    body = io.BytesIO()
    book.save(body)
    return body.getvalue()


def test_office_is_read(papers: MediaExtractor) -> None:
    found = extract(papers, word(), slides(), sheets())

    assert sections(found) == [
        (1, "section", "Rock", "Rock\nHard.\na\tb"),
        (2, "section", "Time", "Time\nLong."),
        (1, "slide", "Rock", "Rock\nAbout rock."),
        (2, "slide", "Time", "Time\nAbout time.\nBe slow."),
        (1, "sheet", "Layers", "name\tage\nchalk\t66"),
        (2, "sheet", "Empty", None),
    ]
    assert found.documents["row"].to_pylist() == [0, 0, 1, 1, 2, 2]


def packed(name: str, body: bytes, times: int = 1) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, body)
        for number in range(times - 1):
            archive.writestr(f"{number}.xml", body)
    return made.getvalue()


def entities() -> bytes:
    """A Word file of which each entity is ten of the one before."""
    lines = [f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10)]
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "x">{"".join(lines)}]><x>&e9;</x>'
    whole = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(word())) as good, zipfile.ZipFile(whole, "w") as made:
        for name in good.namelist():
            made.writestr(name, bomb if name == "word/document.xml" else good.read(name))
    return whole.getvalue()


def test_s29_a_file_that_is_no_sound_paper_fails_its_row_only(papers: MediaExtractor) -> None:
    found = extract(
        papers,
        b"",
        pdf("Cut.")[:60],
        picture(),
        packed("word/document.xml", b"x" * 8_000_000, times=70),
        packed("notes.txt", b"x"),
        word()[:500],
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512),
        ("grün".encode("latin-1"), "text/markdown"),
        b"<html><script>1</script></html>",
        "\n".join(f"# {number}" for number in range(21)).encode(),
        entities(),
        b"fine",
    )

    assert found.documents["row"].to_pylist() == [11]
    said = failures(found)
    assert said[0] == "VALIDATION: The file is empty."
    assert said[1].startswith("VALIDATION: The PDF is damaged")
    assert said[2].startswith("VALIDATION: It is neither PDF, HTML, Markdown")
    assert said[3].startswith("RESOURCE: It unpacks to more than")
    assert said[4].startswith("VALIDATION: It is an archive, and no file of Office")
    assert said[5] == "VALIDATION: The file is cut off or damaged."
    assert said[6].startswith("VALIDATION: It is a file of Office before 2007")
    assert said[7] == "VALIDATION: The text is not UTF-8 at byte 2."
    assert said[8] == "VALIDATION: The page holds no text."
    assert said[9] == "RESOURCE: It has more than 20 pages or sections."
    assert 10 in said
