"""Files of every kind, made by the tests."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def picture(
    width: int = 120,
    height: int = 80,
    *,
    colour: tuple[int, int, int] = (200, 30, 30),
    kind: str = "JPEG",
    **values: Any,
) -> bytes:
    """A picture with a gradient, so that it is no plain surface."""
    rows = np.linspace(0, 1, height)[:, None, None] * np.linspace(0.2, 1, width)[None, :, None]
    pixels = (rows * np.array(colour)).astype(np.uint8)
    body = io.BytesIO()
    Image.fromarray(pixels).save(body, kind, **values)
    return body.getvalue()


def written(text: str, *, size: int = 40) -> bytes:
    """A picture of a text, black on white."""
    font = ImageFont.load_default(size)
    image = Image.new("RGB", (size * len(text), size * 3), "white")
    ImageDraw.Draw(image).text((size, size), text, fill="black", font=font)
    body = io.BytesIO()
    image.save(body, "PNG")
    return body.getvalue()


def pdf(*pages: str, title: str = "Report") -> bytes:
    """A PDF with a line of text on each page, written by hand."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>"
        % (b" ".join(b"%d 0 R" % (5 + 2 * n) for n in range(len(pages))), len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Title (%s) /Author (Strata) >>" % title.encode(),
    ]
    for number, text in enumerate(pages):
        content = b"BT /F1 24 Tf 40 200 Td (%s) Tj ET" % text.encode("latin-1")
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 300] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (6 + 2 * number)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    body, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return body + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R /Info 4 0 R >>\n"
        b"startxref\n%d\n%%%%EOF" % (size, table, size, len(body))
    )
