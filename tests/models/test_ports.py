import asyncio
import random
from datetime import UTC, datetime, timedelta

from models.ids import is_id, new_id
from models.ports import simulate, wall_clock
from models.stored import now

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


async def test_each_simulated_process_has_its_own_clock_and_chance() -> None:
    async def process(skew: timedelta, seed: int) -> tuple[datetime, str]:
        simulate(lambda: NOON + skew, random.Random(seed).getrandbits)
        await asyncio.sleep(0)  # the other one sets its own meanwhile
        return await asyncio.create_task(_look())

    early, late, again = await asyncio.gather(
        asyncio.create_task(process(timedelta(minutes=-10), 1)),
        asyncio.create_task(process(timedelta(minutes=10), 2)),
        asyncio.create_task(process(timedelta(minutes=10), 2)),
    )

    assert early[0] == NOON - timedelta(minutes=10)
    assert late[0] == NOON + timedelta(minutes=10)
    assert late == again
    assert early[1] < late[1]  # ids sort by their maker's clock
    assert is_id(late[1], "blk")


async def _look() -> tuple[datetime, str]:
    return now(), new_id("blk")


async def test_whoever_simulates_nothing_has_the_real_clock() -> None:
    before = datetime.now(UTC)

    assert before <= wall_clock() <= datetime.now(UTC)
    assert new_id("blk") != new_id("blk")
