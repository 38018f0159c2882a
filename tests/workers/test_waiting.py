"""A consumer waits in Redis for its messages."""

import asyncio
from collections.abc import Iterator

import dramatiq
import pytest

from models.ids import new_id
from models.stores import Stores
from workers.broker import make_client
from workers.waiting import WaitingBroker

LONG = 60  # seconds; nothing here waits as long


@pytest.fixture
def broker(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Iterator[WaitingBroker]:
    assert stores.settings.redis.url is not None
    monkeypatch.setattr("workers.waiting.WAIT_SECONDS", LONG)
    client = make_client(stores.settings.redis.url, seconds=2 * LONG)
    broker = WaitingBroker(client=client, namespace=new_id("sub"))  # type: ignore[no-untyped-call]
    dramatiq.actor(actor_name="look", queue_name="looks", broker=broker)(print)
    yield broker
    for key in client.scan_iter(match=f"{broker.namespace}:*"):
        client.delete(key)
    broker.close()
    client.close()


def send(broker: WaitingBroker, *items: str) -> None:
    for item in items:
        broker.enqueue(broker.get_actor("look").message(item))


def items(messages: list[bytes | None]) -> list[str]:
    return [dramatiq.Message.decode(one).args[0] for one in messages if one is not None]


async def test_a_message_is_taken_as_soon_as_it_comes(broker: WaitingBroker) -> None:
    async with asyncio.timeout(LONG / 2):
        taking = asyncio.create_task(asyncio.to_thread(broker.do_fetch, "looks", 1))
        while not broker.client.info("clients")["blocked_clients"]:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(send, broker, "one")
        assert items(await taking) == ["one"]


async def test_waiting_leaves_messages_where_they_are(broker: WaitingBroker) -> None:
    send(broker, "one", "two", "three")
    assert broker._comes("looks")
    assert items(broker.do_fetch("looks", 2)) == ["one", "two"]
    assert broker._comes("looks")
    assert items(broker.do_fetch("looks", 2)) == ["three"]


async def test_all_who_wait_hear_of_a_message_and_one_gets_it(
    broker: WaitingBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(LONG / 2):
        waiting = [asyncio.create_task(asyncio.to_thread(broker._comes, "looks")) for _ in range(3)]
        while broker.client.info("clients")["blocked_clients"] < 3:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(send, broker, "one")
        assert await asyncio.gather(*waiting) == [True] * 3
    monkeypatch.setattr("workers.waiting.WAIT_SECONDS", 1)
    taken = [broker.do_fetch("looks", 1) for _ in range(3)]
    assert [items(one) for one in taken] == [["one"], [], []]


def test_no_consumer_looks_for_what_is_never_sent(
    broker: WaitingBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.waiting.WAIT_SECONDS", 1)
    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()
    assert set(worker.consumers) == {"looks"}
    worker.stop()
