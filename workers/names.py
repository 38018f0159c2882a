"""What a name or a text from outside must be like."""

import math
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

from models.errors import InvalidInput

_NAME_LENGTH: Final = 100
_FIELD_LENGTH: Final = 100
_JSON_LEVELS: Final = 64  # MongoDB keeps 100, of which our own documents take a few


def require_name(name: str, *, path: Sequence[str] = ("name",)) -> None:
    """Refuse an empty, overlong or unprintable name."""
    require_text(name, path=path)
    if not name.strip() or len(name) > _NAME_LENGTH:
        raise InvalidInput(f"A name has 1 to {_NAME_LENGTH} characters.", path=path)
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise InvalidInput("A name holds no control characters.", path=path)


def require_field_name(name: str, *, path: Sequence[str]) -> None:
    """Refuse a field name that MongoDB could not keep or a path could not reach."""
    require_name(name, path=path)
    if len(name) > _FIELD_LENGTH or name.startswith("$"):
        raise InvalidInput(f"{name!r} cannot name a field: it begins with `$`.", path=path)


def require_text(text: str, *, path: Sequence[str]) -> None:
    """Refuse text that is not Unicode: lone surrogates cannot be stored."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"The text holds a lone surrogate at character {error.start}.",
            path=path,
            hint="Replace it with U+FFFD before sending.",
        ) from error


def require_json(value: Any, *, path: Sequence[str], levels: int = _JSON_LEVELS) -> None:
    """Refuse JSON that cannot be kept: its text, keys, numbers, or more levels than `levels`."""
    if isinstance(value, dict | list) and not levels:
        raise InvalidInput(f"Nested deeper than {_JSON_LEVELS} levels.", path=path)
    if isinstance(value, str):
        require_text(value, path=path)
    elif isinstance(value, dict):
        for key, child in value.items():
            require_text(key, path=path)
            if "\x00" in key:
                raise InvalidInput("A key holds a NUL character.", path=(*path, repr(key)))
            require_json(child, path=(*path, key), levels=levels - 1)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            require_json(child, path=(*path, str(index)), levels=levels - 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise InvalidInput("An integer exceeds 64 bits.", path=path, hint="Send it as a string.")
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput("A number is not finite.", path=path, hint="JSON has no such number.")
