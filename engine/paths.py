"""Fields of rows by dotted paths."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

ABSENT: Final = object()


@dataclass(frozen=True)
class Address:
    """A text or a blob that is not here but at an S3 address."""

    url: str
    size_bytes: int | None = None
    media_type: str | None = None


def look_up(fields: Mapping[str, Any], path: str) -> Any:
    """Follow a dotted path; a key that itself holds the dots wins. ABSENT when it leads nowhere."""
    if path in fields:
        return fields[path]
    value: Any = fields
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return ABSENT
        value = value[part]
    return value


def plain(value: Any) -> Any:
    """Return a value as documents hold it: for a text that lies elsewhere, where."""
    return value.url if isinstance(value, Address) else value
