import asyncio

from engine.byte_gate import ByteGate


class Watch:
    """Notes how much is under way."""

    def __init__(self, gate: ByteGate) -> None:
        self.gate = gate
        self.now = self.most = 0
        self.order: list[str] = []

    async def carry(self, name: str, size: int, turns: int = 3) -> None:
        async with self.gate.hold(size):
            self.order.append(name)
            self.now += size
            self.most = max(self.most, self.now)
            for _ in range(turns):
                await asyncio.sleep(0)
            self.now -= size


async def test_no_more_is_under_way_than_fits() -> None:
    watch = Watch(ByteGate(100))

    await asyncio.gather(*(watch.carry(str(number), 30) for number in range(20)))

    assert len(watch.order) == 20
    assert watch.most == 90


async def test_what_is_too_large_goes_alone() -> None:
    watch = Watch(ByteGate(100))

    await asyncio.gather(
        watch.carry("small", 60), watch.carry("large", 500), watch.carry("other", 60)
    )

    assert watch.order == ["small", "large", "other"]
    assert watch.most == 500


async def test_a_canceled_wait_takes_no_room() -> None:
    gate = ByteGate(100)
    watch = Watch(gate)
    first = asyncio.create_task(watch.carry("first", 100, turns=50))
    await asyncio.sleep(0)
    second = asyncio.create_task(watch.carry("second", 100))
    third = asyncio.create_task(watch.carry("third", 100))
    await asyncio.sleep(0)

    second.cancel()
    await asyncio.gather(first, second, third, return_exceptions=True)

    assert watch.order == ["first", "third"]


async def test_room_given_to_a_wait_that_is_canceled_at_once_is_not_lost() -> None:
    gate = ByteGate(100)
    async with gate.hold(100):
        waiting = asyncio.create_task(Watch(gate).carry("waiting", 100))
        await asyncio.sleep(0)
    waiting.cancel()  # the room is its already, but it has not gone on yet
    await asyncio.gather(waiting, return_exceptions=True)

    async with asyncio.timeout(20), gate.hold(100):
        pass
