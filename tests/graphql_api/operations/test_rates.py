"""Points: no more than there are whatever the processes, back with time, and Redis may be away."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from graphql_api.errors import Refused
from graphql_api.operations.rates import LocalBuckets, Rates, SharedBuckets, Size
from models.ids import new_id
from models.stores import Stores


class Absent:
    """Redis, when nobody answers."""

    def __init__(self) -> None:
        self.asked = 0

    async def take(self, caller: str, *, back: int, wanted: int, needed: int) -> tuple[int, int]:
        self.asked += 1
        raise RedisConnectionError


def shared(stores: Stores, size: Size) -> Rates:
    """Return the rates of another process."""
    return Rates(SharedBuckets(stores.bus, size), LocalBuckets(size), size, reason="TEST")


async def spend_all(rates: Rates, caller: str, points: int = 1, tries: int = 2000) -> int:
    """Return how many points a caller gets before a refusal."""
    for number in range(tries):
        try:
            await rates.spend(caller, points)
        except Refused:
            return number * points
    return tries * points


@pytest.mark.parametrize("processes", [1, 4])
async def test_processes_together_spend_one_bucket(stores: Stores, processes: int) -> None:
    size, caller = Size(1000, 1), new_id("key")
    rates = [shared(stores, size) for _ in range(processes)]

    spent = await asyncio.gather(*(spend_all(one, caller) for one in rates))

    # What other processes hold at a refusal is theirs still: a portion each at most.
    assert 1000 - (processes - 1) * 20 <= sum(spent) <= 1010


async def test_s24_a_refusal_says_what_is_left_and_when_to_come_back(stores: Stores) -> None:
    rates, caller = shared(stores, Size(100, 1)), new_id("key")
    await rates.spend(caller, 90)

    with pytest.raises(Refused) as caught:
        await rates.spend(caller, 60)

    shown = caught.value.extensions or {}
    assert (caught.value.code, shown["reason"], shown["limit"]) == ("RATE_LIMITED", "TEST", 100)
    assert 10 <= shown["remaining"] <= 20
    assert caught.value.retry_after == pytest.approx(50, abs=10)


async def test_points_come_back_with_time(stores: Stores) -> None:
    rates, caller = shared(stores, Size(100, 1000)), new_id("key")
    assert await spend_all(rates, caller, points=100, tries=1) == 100

    async with asyncio.timeout(20):
        while await spend_all(rates, caller, points=50, tries=1) == 0:
            await asyncio.sleep(0.02)


async def test_what_is_given_back_can_be_spent_again(stores: Stores) -> None:
    rates, caller = shared(stores, Size(100, 1)), new_id("key")
    await rates.spend(caller, 100)

    assert rates.give_back(caller, 99) == 99
    await rates.spend(caller, 99)

    with pytest.raises(Refused):
        await rates.spend(caller, 50)


async def test_one_caller_does_not_spend_anothers(stores: Stores) -> None:
    rates = shared(stores, Size(10, 1))
    await spend_all(rates, "a" + new_id("key"))

    assert await spend_all(rates, "b" + new_id("key")) >= 10


async def test_s15_without_redis_a_process_has_a_bucket_of_its_own() -> None:
    size, absent = Size(100, 1), Absent()
    rates = Rates(absent, LocalBuckets(size), size, reason="TEST")

    assert await spend_all(rates, "caller") == 100
    assert absent.asked == 1  # not at every operation: each would wait for it


async def test_many_at_once_take_one_portion(stores: Stores) -> None:
    rates, caller = shared(stores, Size(10_000, 1)), new_id("key")

    left = await asyncio.gather(*(rates.spend(caller, 1) for _ in range(100)))

    assert min(left) == 9900
