"""Messages that somebody else wrote into Redis: put away, counted, and in nobody's way (S48)."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest

from models import metrics
from models.batch import Batch
from models.ids import new_id
from models.stores import Stores
from tests.factories import make_batch, store
from tests.fixtures.stores import NamespaceOfTest
from workers.batches import reconcile
from workers.broker import broker, make_client
from workers.messages import LARGEST, JudgingBroker


class Untouched:
    """An engine that nobody may reach."""

    async def connect(self) -> None:
        raise AssertionError("the engine was reached")

    async def hand_over(self, batch_id: str, epoch: int) -> None:
        raise AssertionError(f"batch {batch_id} was handed over")

    async def stop(self, batch_id: str) -> None:
        raise AssertionError(f"batch {batch_id} was stopped")


class Bench:
    """A broker of the test's own with one actor, and what that actor was called with."""

    def __init__(self, url: str) -> None:
        self.broker = JudgingBroker(client=make_client(url), namespace=new_id("sub"))  # type: ignore[no-untyped-call]
        self.called: list[str] = []
        self.done = threading.Event()

        @dramatiq.actor(actor_name="look", queue_name="looks", broker=self.broker)
        def look(item_id: str) -> None:
            self.called.append(item_id)
            self.done.set()

        self.look = look
        dramatiq.actor(actor_name="other", queue_name="others", broker=self.broker)(print)

    def put(self, body: bytes, queue: str = "looks") -> None:
        """Write a message as it stands."""
        message_id, key = new_id("evt"), f"{self.broker.namespace}:{queue}"
        self.broker.client.hset(f"{key}.msgs", message_id, body)
        self.broker.client.rpush(key, message_id)

    def left(self, what: str) -> int:
        """Count messages: `.msgs` those of the queue, `.XQ.msgs` the dead ones."""
        return int(self.broker.client.hlen(f"{self.broker.namespace}:looks{what}"))


@pytest.fixture
def bench(stores: Stores) -> Iterator[Bench]:
    assert stores.settings.redis.url is not None
    bench = Bench(stores.settings.redis.url)
    worker = dramatiq.Worker(bench.broker, worker_threads=1, worker_timeout=50)
    worker.start()
    yield bench
    worker.stop(timeout=5000)
    for key in bench.broker.client.scan_iter(match=f"{bench.broker.namespace}:*"):
        bench.broker.client.delete(key)
    bench.broker.close()
    bench.broker.client.close()


def crafted(**changes: Any) -> bytes:
    message = {
        "queue_name": "looks", "actor_name": "look", "args": ["btc_1"], "kwargs": {},
        "options": {"redis_message_id": "evt_1"}, "message_id": "m", "message_timestamp": 1,
    }  # fmt: skip
    return json.dumps({**message, **changes}).encode()


CRAFTED = {
    "no JSON": (b"\x80\x04\x95 a pickle", "UNREADABLE"),
    "deep JSON": (b"[" * 4000, "UNREADABLE"),
    "no object": (b"[]", "UNREADABLE"),
    "a field too many": (crafted(more=1), "UNREADABLE"),
    "arguments of no list": (crafted(args={}), "UNREADABLE"),
    "an unknown actor": (crafted(actor_name="os.system"), "UNKNOWN_ACTOR"),
    "another queue's actor": (crafted(actor_name="other"), "WRONG_QUEUE"),
    "another queue": (crafted(queue_name="others"), "WRONG_QUEUE"),
    "a delay": (crafted(options={"redis_message_id": "evt_1", "eta": 9e15}), "BAD_OPTIONS"),
    "no options": (crafted(options={}), "BAD_OPTIONS"),
    "an operator": (crafted(args=[{"$gt": ""}]), "BAD_ARGUMENTS"),
    "a number": (crafted(args=[1]), "BAD_ARGUMENTS"),
    "a long argument": (crafted(args=["x" * 201]), "BAD_ARGUMENTS"),
    "a pattern": (crafted(args=["*"]), "BAD_ARGUMENTS"),
    "a lone surrogate": (crafted(args=["\ud800"]), "BAD_ARGUMENTS"),
    "too many arguments": (crafted(args=["a", "b"]), "BAD_ARGUMENTS"),
    "no arguments": (crafted(args=[]), "BAD_ARGUMENTS"),
    "an unknown argument": (crafted(args=[], kwargs={"id": "a"}), "BAD_ARGUMENTS"),
}


@pytest.mark.parametrize(("body", "reason"), CRAFTED.values(), ids=CRAFTED)
def test_s48_a_crafted_message_is_dead_lettered_and_stops_nobody(
    bench: Bench, body: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    counted = metrics.MESSAGES_REFUSED.labels(reason)
    before = counted._value.get()

    for _ in range(3):
        bench.put(body)
    bench.look.send("btc_good")

    assert bench.done.wait(20)
    assert "Consumer encountered" not in caplog.text  # it would begin again after a while
    assert bench.called == ["btc_good"]
    assert (counted._value.get() - before, bench.left(".XQ.msgs")) == (3, 3)


def test_s48_a_huge_message_is_dropped(bench: Bench) -> None:
    bench.put(crafted(args=["x" * LARGEST]))
    bench.look.send("btc_good")

    assert bench.done.wait(20)
    until = time.monotonic() + 20
    while bench.left(".msgs") and time.monotonic() < until:
        time.sleep(0.01)
    assert bench.called == ["btc_good"]
    assert (bench.left(".msgs"), bench.left(".XQ.msgs")) == (0, 0)


@pytest.mark.parametrize("status", ["DRAFT", "COMPLETED", "FAILED", "CANCELED"])
async def test_s48_a_well_formed_message_moves_no_batch_that_waits_for_nothing(
    stores: Stores, namespace: NamespaceOfTest, status: str
) -> None:
    """What is done follows from MongoDB; the message only says where to look."""
    batch = make_batch(namespace.id, status=status)
    await store(batch)

    await reconcile(stores, Untouched(), batch.id)
    await reconcile(stores, Untouched(), new_id("btc"))

    assert await namespace.scope.require(Batch, batch.id) == batch


def test_the_workers_judge_what_they_take() -> None:
    assert isinstance(broker, JudgingBroker)
