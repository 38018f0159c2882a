"""Scalars: strict times, bounded JSON, integers beyond 32 bits."""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, NewType

import strawberry

JSON_DEPTH: Final = 32
DateTime = NewType("DateTime", datetime)
JSON = NewType("JSON", object)
BigInt = NewType("BigInt", int)
_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_SHOWN: Final = len("2026-01-31T12:00:00.000")
_DIGITS: Final = re.compile(r"-?\d{1,40}", re.ASCII)


def show_time(value: datetime | None) -> DateTime | None:
    """Return a time as shown; null for what has not happened, or never will."""
    return None if value is None else DateTime(value)


def _print_time(value: datetime) -> str:
    moment = value.astimezone(UTC) if value.utcoffset() else value
    return f"{moment.isoformat(timespec='milliseconds')[:_SHOWN]}Z"


def _parse_time(value: object) -> datetime:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError(
            "A time must be an RFC 3339 string with its offset, such as 2026-01-31T12:00:00Z."
        )
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("There is no such time.") from error


def _parse_json(value: object) -> object:
    _require_json(value, JSON_DEPTH)
    return value


def _require_json(value: object, left: int) -> None:
    if left == 0:
        raise ValueError(f"JSON is nested more than {JSON_DEPTH} levels deep.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("A number exceeds what JSON's numbers can hold here.")
    children: Iterable[object] = ()
    if isinstance(value, dict):
        children = value.values()
    elif isinstance(value, list):
        children = value
    for child in children:
        _require_json(child, left - 1)


def _parse_big(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not _DIGITS.fullmatch(value):
        raise ValueError("A BigInt must be an integer or a string of digits.")
    return int(value)


def scalar_map() -> dict[object, Any]:
    """Return the scalars for the schema's configuration."""
    return {
        DateTime: strawberry.scalar(
            name="DateTime",
            description="A time by RFC 3339, offset required; answers are in UTC with `Z`.",
            specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
            serialize=_print_time,
            parse_value=_parse_time,
        ),
        JSON: strawberry.scalar(
            name="JSON",
            description="Any JSON value, at most 32 levels deep.",
            specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
            serialize=lambda value: value,
            parse_value=_parse_json,
        ),
        BigInt: strawberry.scalar(
            name="BigInt",
            description="An integer that may exceed 32 bits; a JSON number.",
            serialize=int,
            parse_value=_parse_big,
        ),
    }
