from typing import Any

import pytest

from engine.filters import compile_filter
from engine.paths import Address
from models.filters import Condition, Filter, FilterOperator

Op = FilterOperator
ROW = {
    "lang": "en",
    "pages": 7,
    "price": 2.5,
    "draft": False,
    "nothing": None,
    "tags": ["a", "b"],
    "page": {"title": "One"},
    "made": "2026-03-01T12:00:00+02:00",
    "content": Address("s3://inputs/a.txt"),
}


def where(path: str, operator: Op, value: Any = None, **more: Any) -> Filter:
    return Filter(condition=Condition(path=path, operator=operator, value=value, **more))


@pytest.mark.parametrize(
    ("path", "operator", "value", "fits"),
    [
        ("lang", Op.EQ, "en", True),
        ("lang", Op.EQ, "EN", False),
        ("lang", Op.NE, "de", True),
        ("lang", Op.NE, "en", False),
        ("lang", Op.IN, ["de", "en"], True),
        ("lang", Op.IN, ["de", "fr"], False),
        ("lang", Op.LT, "f", True),
        ("lang", Op.GT, 1, False),
        ("pages", Op.EQ, 7.0, True),
        ("pages", Op.LT, 7, False),
        ("pages", Op.LTE, 7, True),
        ("pages", Op.GT, 6.5, True),
        ("pages", Op.GTE, 8, False),
        ("pages", Op.LT, "9", False),
        ("price", Op.LT, 3, True),
        ("draft", Op.EQ, False, True),
        ("draft", Op.EQ, 0, False),
        ("draft", Op.IN, [0, 1], False),
        ("draft", Op.LT, 1, False),
        ("tags", Op.EQ, ["a", "b"], True),
        ("tags", Op.LT, 5, False),
        ("page.title", Op.EQ, "One", True),
        ("page.other", Op.EQ, "One", False),
        ("page.other", Op.NE, "One", True),
        ("content", Op.EQ, "s3://inputs/a.txt", True),
        ("content", Op.EXISTS, True, True),
        ("lang", Op.EXISTS, True, True),
        ("lang", Op.EXISTS, False, False),
        ("nothing", Op.EXISTS, True, False),
        ("nothing", Op.EXISTS, False, True),
        ("nowhere", Op.EXISTS, True, False),
        ("nothing", Op.NE, 1, True),
        ("nothing", Op.LT, 1, False),
        ("nowhere", Op.GTE, 1, False),
        ("nowhere", Op.IN, ["x"], False),
    ],
)
def test_a_condition(path: str, operator: Op, value: Any, fits: bool) -> None:
    assert compile_filter(where(path, operator, value))(ROW) is fits
    assert compile_filter(Filter(negated=where(path, operator, value)))(ROW) is not fits


def test_conditions_combine() -> None:
    english, long = where("lang", Op.EQ, "en"), where("pages", Op.GT, 100)

    assert compile_filter(Filter(any_of=[english, long]))(ROW)
    assert not compile_filter(Filter(all_of=[english, long]))(ROW)
    assert compile_filter(Filter(all_of=[english, Filter(negated=long)]))(ROW)
    assert not compile_filter(Filter(any_of=[long, Filter(negated=english)]))(ROW)


def test_without_a_filter_everything_fits() -> None:
    assert compile_filter(None)({})


@pytest.mark.parametrize(
    ("operator", "value", "fits"),
    [
        (Op.EQ, "2026-03-01T10:00:00Z", True),
        (Op.LT, "2026-03-01T10:30:00Z", True),
        (Op.GT, "2026-03-01T11:00:00+02:00", True),
        (Op.LTE, "2026-03-01T10:00:00", True),
        (Op.IN, ["2026-03-01T10:00:00Z"], True),
        (Op.GT, "2026-03-01T11:59:00+00:00", False),
    ],
)
def test_times_compare_across_offsets(operator: Op, value: Any, fits: bool) -> None:
    assert compile_filter(where("made", operator, value, moments=True))(ROW) is fits


def test_a_time_that_is_none_fits_no_order() -> None:
    test = compile_filter(where("made", Op.LT, "2026-01-01", moments=True))

    assert not test({"made": "soon"})
    assert not test({"made": 5})
