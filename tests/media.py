"""Files of every kind, made by the tests."""

import io
from typing import Any

import av
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


def sound(seconds: float = 1.0, *, rate: int = 16_000, level: float = 0.25) -> bytes:
    """A WAV file of one tone."""
    body = io.BytesIO()
    with av.open(body, "w", format="wav") as made:
        _add_tone(made, made.add_stream("pcm_s16le", rate=rate, layout="mono"), seconds, level)
    return body.getvalue()


def film(*colours: tuple[int, int, int], seconds: float = 1.0, silent: bool = False) -> bytes:
    """An MP4 file with a scene for each colour, ten frames a second, and a tone."""
    body = io.BytesIO()
    with av.open(body, "w", format="mp4") as made:
        seen = made.add_stream("mpeg4", rate=10)
        seen.width, seen.height, seen.pix_fmt = 96, 64, "yuv420p"
        heard = None if silent else made.add_stream("aac", rate=16_000, layout="mono")
        frames = [colour for colour in colours for _ in range(round(10 * seconds))]
        for number, colour in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), colour, np.uint8), "rgb24")
            frame.pts = number
            made.mux(seen.encode(frame))
        made.mux(seen.encode(None))
        if heard is not None:
            _add_tone(made, heard, len(frames) / 10, 0.25)
    return body.getvalue()


def _add_tone(made: Any, stream: Any, seconds: float, level: float) -> None:
    places = np.arange(round(seconds * stream.rate))
    tone = (level * 2**15 * np.sin(2 * np.pi * 440 * places / stream.rate)).astype(np.int16)
    for start in range(0, len(tone), 1024):
        part = np.ascontiguousarray(tone[None, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
        frame.sample_rate, frame.pts = stream.rate, start
        made.mux(stream.encode(frame))
    made.mux(stream.encode(None))
