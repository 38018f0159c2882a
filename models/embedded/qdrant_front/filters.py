"""Filters: from the JSON of the REST API to the engine's conditions."""

from typing import Any
from uuid import UUID

import numpy
import qdrant_edge as edge

from models.embedded.qdrant_front.refusals import wrong

Json = dict[str, Any]
PointId = int | str | UUID  # the engine's union; over REST an id is never a UUID object

TEXT_MATCHES = {
    "text": edge.MatchText,
    "text_any": edge.MatchTextAny,
    "phrase": edge.MatchPhrase,
    "prefix": edge.MatchPrefix,
    "substring": edge.MatchSubstring,
}


def filter_of(body: Json | None) -> edge.Filter | None:
    return None if body is None else _filter(body)


def identity(value: Any) -> PointId:
    """A point id: an unsigned integer or a UUID, whose form the engine checks."""
    if type(value) is int or type(value) is str:
        return value
    raise wrong(f"{value!r} is not a valid point ID, use an unsigned integer or a UUID")


def identities(values: Any) -> list[PointId]:
    return [identity(value) for value in values]


def without(accepted: edge.Filter | None, ids: set[Any]) -> edge.Filter | None:
    """The same filter with some points left out."""
    if not ids:
        return accepted
    return edge.Filter(
        must=[accepted] if accepted is not None else None, must_not=[edge.HasIdCondition(ids)]
    )


def condition(body: Json) -> Any:
    """One condition; a filter is one too."""
    if "key" in body:
        return _field(body)
    for name, decode in _CONDITIONS.items():
        if name in body:
            return decode(body[name])
    return _filter(body)


def _filter(body: Json) -> edge.Filter:
    if unknown := body.keys() - {"must", "should", "must_not", "min_should"}:
        raise wrong(f"unknown parts of a filter: {sorted(unknown)}")
    least = body.get("min_should")
    return edge.Filter(
        must=_clause(body.get("must")),
        should=_clause(body.get("should")),
        must_not=_clause(body.get("must_not")),
        min_should=least
        and edge.MinShould([condition(one) for one in least["conditions"]], least["min_count"]),
    )


def _clause(value: Any) -> list[Any] | None:
    """A clause may be left out, one condition or a list of them."""
    if value is None:
        return None
    return [condition(one) for one in (value if isinstance(value, list) else [value])]


def _field(body: Json) -> edge.FieldCondition:
    return edge.FieldCondition(
        body["key"],
        match=_optional(_match, body.get("match")),
        range=_optional(_range, body.get("range")),
        geo_bounding_box=_optional(_box, body.get("geo_bounding_box")),
        geo_radius=_optional(_radius, body.get("geo_radius")),
        geo_polygon=_optional(_polygon, body.get("geo_polygon")),
        values_count=_optional(lambda bounds: edge.ValuesCount(**bounds), body.get("values_count")),
        is_empty=body.get("is_empty"),
        is_null=body.get("is_null"),
    )


def _optional(decode: Any, value: Any) -> Any:
    return None if value is None else decode(value)


def _match(body: Json) -> Any:
    if "value" in body:
        return _match_value(body["value"])
    if "any" in body:
        return edge.MatchAny(body["any"])
    if "except" in body:
        return edge.MatchExcept(body["except"])
    for name, kind in TEXT_MATCHES.items():
        if name in body:
            return kind(body[name])
    raise wrong(f"unknown match: {sorted(body)}")


def _match_value(value: Any) -> edge.MatchValue:
    # qdrant-edge 0.9.0 takes a Python bool for the integers 0 and 1, which match nothing; the
    # numpy one goes through. A contract test tells when that is mended.
    return edge.MatchValue(numpy.bool_(value) if isinstance(value, bool) else value)  # type: ignore[arg-type]


def _range(bounds: Json) -> edge.RangeFloat | edge.RangeDateTime:
    given = {name: value for name, value in bounds.items() if value is not None}
    if any(isinstance(value, str) for value in given.values()):
        return edge.RangeDateTime(**given)
    return edge.RangeFloat(**given)


def point_of(body: Json) -> edge.GeoPoint:
    return edge.GeoPoint(body["lon"], body["lat"])


def _box(body: Json) -> edge.GeoBoundingBox:
    return edge.GeoBoundingBox(point_of(body["top_left"]), point_of(body["bottom_right"]))


def _radius(body: Json) -> edge.GeoRadius:
    return edge.GeoRadius(point_of(body["center"]), body["radius"])


def _polygon(body: Json) -> edge.GeoPolygon:
    holes = [_ring(ring) for ring in body.get("interiors") or []]
    return edge.GeoPolygon(_ring(body["exterior"]), holes or None)


def _ring(body: Json) -> list[edge.GeoPoint]:
    return [point_of(point) for point in body["points"]]


def _nested(body: Json) -> edge.NestedCondition:
    return edge.NestedCondition(body["key"], _filter(body["filter"]))


def _slice(body: Json) -> Any:
    # The class is in the wheel but not in its type stub.
    return edge.SliceCondition(body["total"], body["index"])  # type: ignore[attr-defined]


_CONDITIONS: dict[str, Any] = {
    "is_empty": lambda body: edge.IsEmptyCondition(body["key"]),
    "is_null": lambda body: edge.IsNullCondition(body["key"]),
    "has_id": lambda ids: edge.HasIdCondition(set(identities(ids))),
    "has_vector": edge.HasVectorCondition,
    "nested": _nested,
    "slice": _slice,
}
