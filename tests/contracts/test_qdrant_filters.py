"""Every kind of filter, held against the same question asked in Python."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, models

from tests.contracts.qdrant_points import COUNT, PLANE, make_points, point_id

pytest_plugins = ["tests.contracts.qdrant_server"]

Payload = dict[str, Any]
EARTH_RADIUS = 6_371_000
CENTRE = {"lon": 10.5, "lat": 20.5}


def field(key: str, **parts: Any) -> models.FieldCondition:
    return models.FieldCondition(key=key, **parts)


def value(key: str, wanted: Any) -> models.FieldCondition:
    return field(key, match=models.MatchValue(value=wanted))


def must(*conditions: models.Condition) -> models.Filter:
    return models.Filter(must=list(conditions))


def metres(place: dict[str, float]) -> float:
    """The great-circle distance from the centre."""
    lat, lat0 = math.radians(place["lat"]), math.radians(CENTRE["lat"])
    half = math.radians(place["lon"] - CENTRE["lon"]) / 2
    chord = math.sin((lat - lat0) / 2) ** 2 + math.cos(lat) * math.cos(lat0) * math.sin(half) ** 2
    return 2 * EARTH_RADIUS * math.asin(math.sqrt(chord))


NESTED = models.NestedCondition(
    nested=models.Nested(
        key="items", filter=must(value("name", "film"), field("amount", range=models.Range(gt=3)))
    )
)
BOX = models.GeoBoundingBox(
    top_left=models.GeoPoint(lon=-50, lat=40), bottom_right=models.GeoPoint(lon=60, lat=-30)
)
NEAR = models.GeoRadius(center=models.GeoPoint(**CENTRE), radius=3_000_000)
TRIANGLE = models.GeoPolygon(
    exterior=models.GeoLineString(
        points=[
            models.GeoPoint(lon=lon, lat=lat)
            for lon, lat in [(-100, -60), (100, -60), (0, 70), (-100, -60)]
        ]
    )
)
MAY = datetime(2024, 5, 1, tzinfo=UTC)

CASES: dict[str, tuple[models.Filter, Callable[[Payload], bool]]] = {
    "keyword": (must(value("kind", "film")), lambda p: p["kind"] == "film"),
    "integer": (must(value("rank", 7)), lambda p: p["rank"] == 7),
    "true": (must(value("flag", True)), lambda p: p["flag"]),
    "false": (must(value("flag", False)), lambda p: not p["flag"]),
    "any": (
        must(field("rank", match=models.MatchAny(any=[1, 2, 3]))),
        lambda p: p["rank"] in (1, 2, 3),
    ),
    "except": (
        must(field("kind", match=models.MatchExcept(**{"except": ["film", "song"]}))),
        lambda p: p["kind"] == "book",
    ),
    "in an array": (must(value("tags", "red")), lambda p: "red" in p["tags"]),
    "range": (
        must(field("price", range=models.Range(gte=3.5, lt=9))),
        lambda p: 3.5 <= p["price"] < 9,
    ),
    "should": (
        models.Filter(should=[value("rank", 1), value("kind", "song")]),
        lambda p: p["rank"] == 1 or p["kind"] == "song",
    ),
    "must not": (models.Filter(must_not=[value("kind", "book")]), lambda p: p["kind"] != "book"),
    "a filter in a filter": (
        models.Filter(
            must=[models.Filter(should=[value("rank", 4), value("rank", 5)])],
            must_not=[models.Filter(must=[value("kind", "film"), value("flag", True)])],
        ),
        lambda p: p["rank"] in (4, 5) and not (p["kind"] == "film" and p["flag"]),
    ),
    "datetime": (
        must(field("when", range=models.DatetimeRange(gte=MAY, lt=MAY.replace(month=8)))),
        lambda p: "2024-05" <= p["when"] < "2024-08",
    ),
    "text": (
        must(field("words", match=models.MatchText(text="stone"))),
        lambda p: "stone" in p["words"],
    ),
    "is empty": (
        must(models.IsEmptyCondition(is_empty=models.PayloadField(key="note"))),
        lambda p: not p.get("note"),
    ),
    "is null": (
        must(models.IsNullCondition(is_null=models.PayloadField(key="note"))),
        lambda p: "note" in p and p["note"] is None,
    ),
    "has id": (
        must(models.HasIdCondition(has_id=[point_id(3), point_id(4), 10**6])),
        lambda p: p["number"] in (3, 4),
    ),
    "nested object": (
        must(NESTED),
        lambda p: any(one["name"] == "film" and one["amount"] > 3 for one in p["items"]),
    ),
    "path through an array": (
        must(value("items[].name", "ember")),
        lambda p: any(one["name"] == "ember" for one in p["items"]),
    ),
    "values count": (
        must(field("tags", values_count=models.ValuesCount(gte=3))),
        lambda p: len(p["tags"]) >= 3,
    ),
    "geo radius": (must(field("place", geo_radius=NEAR)), lambda p: metres(p["place"]) < 3e6),
    "geo box": (
        must(field("place", geo_bounding_box=BOX)),
        lambda p: -50 <= p["place"]["lon"] <= 60 and -30 <= p["place"]["lat"] <= 40,
    ),
    "geo polygon": (
        must(field("place", geo_polygon=TRIANGLE)),
        lambda p: -60 <= p["place"]["lat"] <= 70 - 1.3 * abs(p["place"]["lon"]),
    ),
    "min should": (
        models.Filter(
            min_should=models.MinShould(
                conditions=[value("kind", "film"), value("flag", True), value("tags", "blue")],
                min_count=2,
            )
        ),
        lambda p: (p["kind"] == "film") + p["flag"] + ("blue" in p["tags"]) >= 2,
    ),
    "has vector": (
        must(models.HasVectorCondition(has_vector=PLANE)),
        lambda p: p["number"] % 10 != 9,
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_filter_matches_what_python_finds(
    qdrant: AsyncQdrantClient, library: str, case: str
) -> None:
    accepted, predicate = CASES[case]
    payloads = [point.payload or {} for point in make_points()]
    expected = {payload["number"] for payload in payloads if predicate(payload)}

    found, _ = await qdrant.scroll(library, scroll_filter=accepted, limit=COUNT)

    assert 0 < len(expected) < COUNT
    assert {(record.payload or {})["number"] for record in found} == expected
    assert (await qdrant.count(library, accepted)).count == len(expected)
