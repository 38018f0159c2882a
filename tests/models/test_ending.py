import asyncio

import pytest

from models.ending import end_tasks, until_first_fails


class Deaf:
    """A task that loses its first cancels, as one behind `asyncio.wait_for` may."""

    def __init__(self, losses: int) -> None:
        self.lost = 0
        self._losses = losses

    async def run(self) -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if self.lost == self._losses:
                    raise
                self.lost += 1


async def test_a_task_that_lost_a_cancel_is_canceled_again() -> None:
    deaf = Deaf(1)
    task = asyncio.create_task(deaf.run())
    await asyncio.sleep(0)

    async with asyncio.timeout(20):
        await end_tasks(task)

    assert (task.cancelled(), deaf.lost) == (True, 1)


async def test_what_has_ended_is_left_alone_and_failures_are_nobodys() -> None:
    async def fail() -> None:
        raise ValueError

    failed = asyncio.create_task(fail())
    await asyncio.wait({failed})

    await end_tasks(failed)
    await end_tasks()

    assert isinstance(failed.exception(), ValueError)


async def test_the_first_failure_ends_the_others_and_is_raised() -> None:
    async def fail() -> None:
        raise ValueError("first")

    other = asyncio.create_task(asyncio.sleep(60))

    with pytest.raises(ValueError, match="first"):
        await until_first_fails(other, asyncio.create_task(fail()))

    assert other.cancelled()


async def test_a_cancel_of_the_waiter_ends_them_all() -> None:
    deaf = Deaf(1)
    tasks = [asyncio.create_task(deaf.run()), asyncio.create_task(asyncio.sleep(60))]
    waiter = asyncio.create_task(until_first_fails(*tasks))
    await asyncio.sleep(0.01)

    async with asyncio.timeout(20):
        await end_tasks(waiter)

    assert all(task.cancelled() for task in tasks)
