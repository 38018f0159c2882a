"""Pictures: what is known of one, a thumbnail, and its pixels for a net.

Part: width, height, format, exif, hash, colours; blobs: thumbnail as JPEG, then pixels (RGB) when
`pixels` asks for them: at most so many on the longer side.
"""

import io
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from engine.media.errors import too_much, unreadable
from engine.media.wire import Part

FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF")
_PIXELS: Final = 50_000_000
_COLOURS: Final = 5
_HASH_SIDE: Final = 32  # pixels that the hash sees of each side
_HASH_BITS: Final = 8  # of each side, lowest frequencies first
_TEXT: Final = 500  # characters of one EXIF field
_JPEG_QUALITY: Final = 85

Image.MAX_IMAGE_PIXELS = _PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


def decode(request: Mapping[str, Any], data: bytes) -> Iterator[Part]:
    """Yield one part."""
    picture, found = open_picture(data)
    exif = _exif(picture)
    upright = ImageOps.exif_transpose(picture).convert("RGB")
    head = {
        "width": upright.width,
        "height": upright.height,
        "format": found,
        "exif": exif,
        "hash": perceptual_hash(upright),
        "colours": _colours(upright),
    }
    blobs = [as_jpeg(upright, int(request.get("thumbnail", 256)))]
    if (side := int(request.get("pixels", 0))) > 0:
        small = shrunk(upright, side)
        head["pixels"] = [small.height, small.width]
        blobs.append(small.tobytes())
    yield Part(head, blobs)


def open_picture(data: bytes) -> tuple[Image.Image, str]:
    """Return a picture with its pixels, and its format; of an animation the first frame.

    Raises:
        DecodeFailed: it is none, is damaged, or has too many pixels.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        found = str(picture.format)
        picture.load()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise too_much(
            f"The picture has more than {_PIXELS:,} pixels.", hint="Make it smaller."
        ) from None
    except UnidentifiedImageError:
        raise unreadable(
            f"It is no picture of a kind that is read: {', '.join(FORMATS)}.",
            hint="Look at what is stored at its address; its name does not matter.",
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise unreadable(f"The picture is damaged: {error}.", hint="Upload it again.") from None
    return picture, found


def shrunk(picture: Image.Image, side: int) -> Image.Image:
    """Return a picture whose longer side is at most `side`."""
    if max(picture.size) <= side:
        return picture
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small


def as_jpeg(picture: Image.Image, side: int) -> bytes:
    """Return a picture as a JPEG file of at most `side` pixels."""
    body = io.BytesIO()
    shrunk(picture, side).save(body, "JPEG", quality=_JPEG_QUALITY)
    return body.getvalue()


def perceptual_hash(picture: Image.Image) -> str:
    """Return 64 bits in hex that similar pictures share: low frequencies above their median."""
    small = picture.convert("L").resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.LANCZOS)
    cosines = _cosines()
    waves = cosines @ np.asarray(small, np.float64) @ cosines.T
    low = waves[:_HASH_BITS, :_HASH_BITS].flatten().round(3)  # noise is no feature
    bits = low > np.median(low[1:])  # without the mean brightness
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def _cosines() -> npt.NDArray[np.float64]:
    place = np.arange(_HASH_SIDE)
    return np.cos(np.pi / _HASH_SIDE * np.outer(place, place + 0.5))


def _colours(picture: Image.Image) -> list[dict[str, Any]]:
    """Return the colours that cover most of it, largest first."""
    few = shrunk(picture, 128).quantize(_COLOURS, Image.Quantize.MEDIANCUT)
    palette = few.getpalette("RGB") or []
    counts = sorted(few.getcolors() or [], reverse=True)
    total = sum(count for count, _ in counts)
    return [
        {
            "hex": "#" + "".join(f"{part:02x}" for part in palette[3 * place : 3 * place + 3]),
            "share": round(count / total, 4),
        }
        for count, place in counts
        if isinstance(place, int)
    ]


def _exif(picture: Image.Image) -> dict[str, Any]:
    try:
        found = picture.getexif()
        tags = {ExifTags.TAGS.get(key, str(key)): value for key, value in found.items()}
        for folder in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            names = ExifTags.GPSTAGS if folder is ExifTags.IFD.GPSInfo else ExifTags.TAGS
            tags |= {names.get(k, str(k)): v for k, v in found.get_ifd(folder).items()}
    except Exception:  # damaged EXIF takes nothing from the picture
        return {}
    values = {name: _plain(value) for name, value in tags.items()}
    return {name: value for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    """Return an EXIF value as JSON knows it; None for what it does not."""
    if isinstance(value, str):
        return value.strip("\x00 ")[:_TEXT].encode(errors="replace").decode() or None
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number
