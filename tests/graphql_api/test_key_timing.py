"""The time of a refusal says nothing about which keys there are (S45).

Each round takes samples of both kinds in one random order, so whatever else the machine does falls
on both alike. Samples of one distribution still give p <= 0.01 in one round of a hundred; three
rounds in a row do so once in a million, while a difference that is there shows in each: a look-up
by id gave p < 1e-80 in each of four rounds on a busy machine.
"""

import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from graphql_api import permissions
from models import api_key
from models.api_key import ApiKey, issue_key
from models.stores import Stores
from tests.factories import store
from tests.fixtures.stores import NamespaceOfTest
from tests.kolmogorov import gap, probability, smirnov

SAMPLES: Final = 3000  # of each kind, in a round
ROUNDS: Final = 3
SEPARABLE: Final = 0.01


def with_secret_of_another(key: ApiKey, readable: str) -> str:
    """Return a well-formed key of an id that there is and a secret that is not its own."""
    secret = readable.rpartition("_")[2][: -api_key._CHECKSUM_LENGTH]
    body = f"strata_{key.id}_{secret}"
    return body + api_key._checksum(body)


async def one_round(key: ApiKey) -> float:
    """Return how probable the times are if they tell nothing."""
    times: dict[bool, list[float]] = {True: [], False: []}
    order = [True, False] * SAMPLES
    random.shuffle(order)
    for known in order:
        _, unknown = issue_key(key.namespace_id, name="guess")
        wrong = with_secret_of_another(key, unknown)  # made for both kinds: nothing else differs
        token = wrong if known else unknown
        began = time.perf_counter()
        assert await permissions._look_up(token) is None
        times[known].append(time.perf_counter() - began)
    return probability(times[True], times[False])


async def look_up_by_id(key_id: str, secret: str) -> ApiKey | None:
    """Find a key as it must not be found."""
    found = await ApiKey.get(key_id)
    return found if found is not None and found.admits(secret) else None


async def tell_apart(rounds: Callable[[], Awaitable[float]]) -> bool:
    """Return whether every round finds a difference."""
    for _ in range(ROUNDS):
        if await rounds() > SEPARABLE:
            return False
    return True


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_s45_the_time_of_a_refusal_does_not_tell_whether_there_is_such_a_key(
    stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = issue_key(namespace.id, name="target")
    await store(key)

    assert not await tell_apart(lambda: one_round(key))

    monkeypatch.setattr(permissions, "find_key", look_up_by_id)
    assert await tell_apart(lambda: one_round(key))  # so the measurement would have seen it


@pytest.mark.parametrize(("scaled", "expected"), [(1.3581, 0.05), (1.6276, 0.01), (0.1, 1.0)])
def test_the_probability_is_that_of_the_tables(scaled: float, expected: float) -> None:
    assert smirnov(scaled) == pytest.approx(expected, abs=1e-4)


def test_the_gap_is_the_widest() -> None:
    assert gap([1, 2, 3, 4], [3, 4, 5, 6]) == 0.5
    assert probability(range(1000), [n + 0.5 for n in range(1000)]) == 1.0
    assert probability(range(1000), range(200, 1200)) < 1e-10
