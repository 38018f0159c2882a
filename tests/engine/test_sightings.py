"""What documents are seen to have: paths and types, within bounds."""

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.sightings import DEEPEST, LONGEST, sightings
from models.observed import MOST_FIELDS, ObservedField, ObservedType, unseen

AT = datetime(2026, 1, 31, tzinfo=UTC)


def seen(*documents: dict[str, Any]) -> set[str]:
    return {f"{path} {kind}" for path, kind in sightings(documents)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", {"f STRING"}),
        (1, {"f INTEGER"}),
        (1.5, {"f NUMBER"}),
        (True, {"f BOOLEAN"}),
        (AT, {"f DATETIME"}),
        (None, set()),
        ({}, {"f OBJECT"}),
        ([], {"f ARRAY"}),
        ({"a": {"b": 1}}, {"f OBJECT", "f.a OBJECT", "f.a.b INTEGER"}),
        (["a", 1, None], {"f ARRAY", "f[] STRING", "f[] INTEGER"}),
        ([{"a": 1}, {"b": "x"}], {"f ARRAY", "f[] OBJECT", "f[].a INTEGER", "f[].b STRING"}),
        ([[1]], {"f ARRAY", "f[] ARRAY"}),
    ],
)
def test_a_value_is_known_by_its_type(value: Any, expected: set[str]) -> None:
    assert seen({"f": value}) == expected


def test_every_document_counts() -> None:
    documents: list[dict[str, Any]] = [{"f": 1}] * 50 + [{"f": {"a": 1}}, {"g": "x"}]
    assert seen(*documents) == {"f INTEGER", "f OBJECT", "f.a INTEGER", "g STRING"}


def test_what_lies_deep_is_not_looked_at() -> None:
    value: Any = 1
    for _ in range(DEEPEST * 2):
        value = {"a": value}
    assert max(path.count(".") + 1 for path, _ in sightings([value])) == DEEPEST


def test_a_long_path_is_not_looked_at() -> None:
    name = "n" * LONGEST
    assert seen({name: {"a": 1}, "n" + name: 1}) == {f"{name} OBJECT"}


def test_only_the_new_is_added_the_shallow_first() -> None:
    known = [ObservedField(path="a", type=ObservedType.STRING, first_seen_at=AT)]
    found = sightings([{"a": "x", "b": {"c": 1}}, {"a": 1}])
    assert [(one.path, one.type) for one in unseen(known, found, AT)] == [
        ("a", "INTEGER"),
        ("b", "OBJECT"),
        ("b.c", "INTEGER"),
    ]


def test_there_is_an_end_to_what_is_remembered() -> None:
    known = unseen([], sightings([{f"k{n}": n for n in range(MOST_FIELDS - 2)}]), AT)
    more = unseen(known, sightings([{"x": {"deep": 1}, "y": 1, "z": 1}]), AT)
    assert [one.path for one in more] == ["x", "y"]
    assert unseen(known + more, sightings([{"w": 1}]), AT) == []
