import math
from collections.abc import Collection as Rows

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.isolation import Search, Span
from models.block import Fault
from models.errors import ErrorCategory


def fault(span: Span, message: str = "died") -> Fault:
    return Fault(start=span.start, stop=span.stop, category=ErrorCategory.RESOURCE, message=message)


def searched(rows: int, bad: Rows[int]) -> tuple[Search, int]:
    """Search until every row is settled; return how many runs it took after the first."""
    whole = Span(0, rows)
    search, runs = Search(rows, [fault(whole), fault(whole)]), 1
    while (span := search.next()) is not None:
        runs += 1
        if any(span.start <= row < span.stop for row in bad):
            search.fail(fault(span, f"died of {span.start}-{span.stop}"))
        else:
            search.succeed(span)
    return search, runs


def settled(search: Search) -> list[int]:
    return [row for span in search.passed() for row in range(span.start, span.stop)]


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 100, 129, 256, 257])
def test_one_bad_row_is_found_within_the_bound_wherever_it_is(rows: int) -> None:
    for bad in range(rows):
        search, runs = searched(rows, {bad})

        assert list(search.bad()) == [bad]
        assert settled(search) == [row for row in range(rows) if row != bad]
        assert runs <= 2 * math.log2(rows) + 3, bad


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.data())
def test_any_bad_rows_are_found_and_no_others(rows: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, rows - 1), min_size=1))

    search, _ = searched(rows, bad)

    if not search.hopeless:
        assert set(search.bad()) == bad
        assert set(settled(search)) == set(range(rows)) - bad


def test_a_block_of_which_every_row_is_bad_is_known_after_a_few_runs() -> None:
    search, runs = searched(256, range(256))

    assert search.hopeless
    assert runs == 1 + 2 + 3  # the whole again, both halves, three rows from all over


def test_a_bad_row_in_each_half_is_no_reason_to_lose_hope() -> None:
    search, _ = searched(256, {3, 200})

    assert not search.hopeless
    assert list(search.bad()) == [3, 200]


def test_a_row_that_fails_once_and_then_passes_is_not_bad() -> None:
    whole, first, second = Span(0, 2), Span(0, 1), Span(1, 2)
    search = Search(2, [fault(whole), fault(whole)])
    assert search.next() == first
    search.fail(fault(first))
    assert search.next() == second
    search.succeed(second)

    assert search.next() == first
    search.succeed(first)

    assert (search.next(), search.bad()) == (None, {})


def test_what_fails_only_together_loses_no_row() -> None:
    search, _ = searched(16, ())

    assert settled(search) == list(range(16))
    assert search.bad() == {}


def test_a_search_goes_on_where_another_stopped() -> None:
    whole, left, right = Span(0, 16), *Span(0, 16).halves()

    search = Search(16, [fault(whole), fault(whole), fault(left)])

    assert search.next() == right
    search.succeed(right)
    assert search.next() == Span(0, 4)


def test_rows_that_are_given_up_carry_the_narrowest_cause() -> None:
    whole, left = Span(0, 4), Span(0, 2)
    search = Search(4, [fault(whole), fault(whole, "of all"), fault(left, "of two")])
    search.succeed(Span(2, 4))

    assert {row: one.message for row, one in search.bad().items()} == {0: "of two", 1: "of two"}
