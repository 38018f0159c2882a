"""A request exactly as it arrived: raw path, decoded query pairs, headers.

Keys are never paths here: `..` and `//` are ordinary characters of a key. What a request means
is decided elsewhere.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from starlette.datastructures import Headers
from starlette.types import Scope

from models.embedded.s3_front.errors import S3Error

UNRESERVED: Final = "-_.~"
KEY_BYTES: Final = 1024  # S3's own limit, counted in UTF-8


@dataclass(frozen=True, slots=True)
class Wire:
    """What the signature is computed over, before any interpretation."""

    method: str
    raw_path: str
    pairs: tuple[tuple[str, str], ...]
    headers: Headers

    @property
    def query(self) -> dict[str, str]:
        return dict(self.pairs)


def read_wire(scope: Scope) -> Wire:
    return Wire(
        method=scope["method"],
        raw_path=scope["raw_path"].decode("latin-1"),
        pairs=parse_query(scope["query_string"].decode("latin-1")),
        headers=Headers(scope=scope),
    )


def parse_query(raw: str) -> tuple[tuple[str, str], ...]:
    split = (pair.partition("=") for pair in raw.split("&") if pair)
    return tuple((decode(name, plus=True), decode(value, plus=True)) for name, _, value in split)


def encode(text: str, *, safe: str = "") -> str:
    """Percent-encode as SigV4 and S3 listings do: everything but letters, digits and `-_.~`."""
    return quote(text, safe=UNRESERVED + safe)


def decode(raw: str, *, plus: bool = False) -> str:
    try:
        return unquote_to_bytes(raw.replace("+", " ") if plus else raw).decode()
    except UnicodeDecodeError:
        raise S3Error("InvalidURI") from None


def split_path(raw_path: str) -> tuple[str, str]:
    """Bucket and key of a path-style address; either may be empty."""
    raw_bucket, _, raw_key = raw_path.removeprefix("/").partition("/")
    key = decode(raw_key)
    if len(key.encode()) > KEY_BYTES:
        raise S3Error("KeyTooLongError")
    return decode(raw_bucket), key
