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
