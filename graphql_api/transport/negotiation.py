"""Which form an answer takes, by the Accept header: quality first, then order.

JSON comes in two media types, streams in two more. A stream is sent when its type wins, or for a
subscription whenever it is listed: some clients list an event stream last with every request.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

JSON: Final = "application/json"
GRAPHQL: Final = "application/graphql-response+json"
EVENTS: Final = "text/event-stream"
MULTIPART: Final = "multipart/mixed"
Media = Literal["application/json", "application/graphql-response+json"]
Stream = Literal["text/event-stream", "multipart/mixed"]
_LONGEST: Final = 2048


@dataclass(frozen=True)
class Accepted:
    """What a client takes."""

    media: Media | None  # for one answer
    stream: Stream | None  # for a subscription
    stream_wins: bool  # for anything


@dataclass(frozen=True)
class _Range:
    kind: str
    quality: float
    place: int

    @property
    def rank(self) -> tuple[float, int]:
        return -self.quality, self.place


@lru_cache(maxsize=512)
def negotiate(accept: str | None) -> Accepted | None:
    """Return what a client takes of what there is; None when nothing is acceptable."""
    if accept is None or not accept.strip():
        return Accepted(JSON, None, stream_wins=False)
    ranges = [_read(text, place) for place, text in enumerate(accept[:_LONGEST].split(","))]
    refused = {one.kind for one in ranges if one.quality <= 0}
    wanted = sorted((one for one in ranges if one.quality > 0), key=lambda one: one.rank)
    media = next((found for one in wanted if (found := _media(one.kind, refused))), None)
    stream = next((kind for one in wanted if (kind := _stream(one.kind))), None)
    if media is None and stream is None:
        return None
    first = next(one.kind for one in wanted if _media(one.kind, refused) or _stream(one.kind))
    return Accepted(media, stream, stream_wins=_stream(first) is not None)


def _read(text: str, place: int) -> _Range:
    kind, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return _Range(kind, min(1.0, float(value)), place)
            except ValueError:
                return _Range(kind, 0.0, place)
    return _Range(kind, 1.0, place)


def _media(kind: str, refused: set[str]) -> Media | None:
    if kind in ("*/*", "application/*"):
        return JSON if JSON not in refused else GRAPHQL
    if kind == JSON:
        return JSON
    return GRAPHQL if kind == GRAPHQL else None


def _stream(kind: str) -> Stream | None:
    if kind == EVENTS:
        return EVENTS
    return MULTIPART if kind == MULTIPART else None
