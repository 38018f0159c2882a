"""Which form an answer takes, by what a client accepts."""

import pytest

from graphql_api.transport.negotiation import EVENTS, GRAPHQL, JSON, MULTIPART, negotiate

URQL = f"{GRAPHQL}, application/graphql+json, {JSON}, {EVENTS}, {MULTIPART}"
APOLLO = f"{MULTIPART};boundary=graphql;subscriptionSpec=1.0,{GRAPHQL},{JSON};q=0.9"


@pytest.mark.parametrize(
    ("accept", "media", "stream", "wins"),
    [
        (None, JSON, None, False),
        ("", JSON, None, False),
        ("*/*", JSON, None, False),
        ("application/*", JSON, None, False),
        (GRAPHQL, GRAPHQL, None, False),
        (f"{JSON};q=0.5, {GRAPHQL}", GRAPHQL, None, False),
        (f"{JSON}, {GRAPHQL}", JSON, None, False),
        (f"{GRAPHQL}; charset=utf-8, {JSON}", GRAPHQL, None, False),
        (f"{JSON};q=0, */*", GRAPHQL, None, False),
        (EVENTS, None, EVENTS, True),
        (f"{EVENTS};q=0.1, {JSON};q=0.9", JSON, EVENTS, False),
        (URQL, GRAPHQL, EVENTS, False),
        (APOLLO, GRAPHQL, MULTIPART, True),
        (f"text/html, {JSON.upper()}", JSON, None, False),
    ],
)
def test_quality_decides_then_order(
    accept: str | None, media: str | None, stream: str | None, wins: bool
) -> None:
    found = negotiate(accept)

    assert found is not None
    assert (found.media, found.stream, found.stream_wins) == (media, stream, wins)


@pytest.mark.parametrize(
    "accept", ["text/html", f"{JSON};q=0", f"{JSON};q=nonsense", "image/*", ","]
)
def test_what_nothing_fits_is_refused(accept: str) -> None:
    assert negotiate(accept) is None
