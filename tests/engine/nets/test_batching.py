from itertools import pairwise

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
def test_a_row_that_fits_is_not_left_for_the_next_batch(lengths: list[int], budget: int) -> None:
    batches = [batch.tolist() for batch in plan_batches(np.array(lengths, np.int64), budget)]

    for batch, following in pairwise(batches):
        assert (len(batch) + 1) * max(1, lengths[batch[0]]) > budget
        assert lengths[batch[-1]] >= lengths[following[0]]


def test_refuses_an_empty_budget() -> None:
    with pytest.raises(ValueError, match="token_budget"):
        next(plan_batches(np.array([1]), 0))
