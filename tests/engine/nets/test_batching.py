from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.nets.batching import plan_batches

lengths = st.lists(st.integers(0, 300), max_size=80)


@given(lengths=lengths, budget=st.integers(1, 1_000))
def test_every_row_is_in_one_batch(lengths: list[int], budget: int) -> None:
    batches = [batch.tolist() for batch in plan_batches(np.array(lengths, np.int64), budget)]

    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))


@given(lengths=lengths, budget=st.integers(1, 1_000))
def test_padded_batches_stay_within_the_budget(lengths: list[int], budget: int) -> None:
    for batch in plan_batches(np.array(lengths, np.int64), budget):
        longest = max(lengths[row] for row in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget


@given(lengths=lengths, budget=st.integers(1, 1_000))
def test_the_longest_rows_come_first(lengths: list[int], budget: int) -> None:
    batches = [batch.tolist() for batch in plan_batches(np.array(lengths, np.int64), budget)]

    ordered = [lengths[row] for batch in batches for row in batch]
    assert ordered == sorted(lengths, reverse=True)


@given(lengths=st.lists(st.integers(0, 60), max_size=9), budget=st.integers(1, 200))
def test_no_other_cut_of_the_sorted_rows_costs_less(lengths: list[int], budget: int) -> None:
    planned = [[lengths[row] for row in batch] for batch in plan_batches(np.array(lengths), budget)]
    ordered = sorted(lengths, reverse=True)

    assert _cost(planned) == min(_cost(cut) for cut in _all_cuts(ordered, budget))


def _cost(batches: list[list[int]]) -> int:
    return sum(17 + len(batch) * max(1, batch[0]) for batch in batches)


def _all_cuts(ordered: list[int], budget: int) -> Iterator[list[list[int]]]:
    """Every way to cut sorted lengths into batches that are allowed."""
    for places in product([False, True], repeat=max(0, len(ordered) - 1)):
        edges = [0, *(place + 1 for place, cut in enumerate(places) if cut), len(ordered)]
        batches = [ordered[start:stop] for start, stop in pairwise(edges) if start < stop]
        if all(len(one) == 1 or len(one) * max(1, one[0]) <= budget for one in batches):
            yield batches


def test_refuses_an_empty_budget() -> None:
    with pytest.raises(ValueError, match="token_budget"):
        next(plan_batches(np.array([1]), 0))
