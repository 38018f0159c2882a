import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from models.errors import StoreUnavailable
from models.ids import new_id
from models.stores import Stores
from workers.actors.batches import dispatch_batch
from workers.broker import broker, make_client
from workers.doorbell import ring
from workers.resources import resources


@contextmanager
def ringing_at(client: redis.Redis) -> Iterator[RedisBroker]:
    """Let the actor send to a broker of this test's own."""
    own = RedisBroker(client=client, namespace=new_id("sub"))  # type: ignore[no-untyped-call]
    own.declare_actor(dispatch_batch)
    with client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatch_batch, "broker", own)
        yield own


def test_a_ring_is_one_message_with_the_id_and_nothing_else(stores: Stores) -> None:
    url = stores.settings.redis.url
    assert url is not None
    with ringing_at(make_client(url)) as own:
        ring("btc_1")
        ring("btc_1")
        found: dict[bytes, bytes] = own.client.hgetall(f"{own.namespace}:batches.msgs")  # type: ignore[assignment]

    messages = [dramatiq.Message.decode(body) for body in found.values()]
    assert [message.args for message in messages] == [("btc_1",), ("btc_1",)]
    assert {message.actor_name for message in messages} == {"batch.dispatch"}
    assert all(message.kwargs == {} for message in messages)
    assert all("eta" not in message.options for message in messages)


def test_a_ring_without_redis_is_logged_and_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    nobody = make_client("redis://127.0.0.1:1/0")
    began = time.monotonic()
    with ringing_at(nobody), caplog.at_level(logging.WARNING):
        ring("btc_1")

    assert "No doorbell for btc_1" in caplog.text
    assert time.monotonic() - began < 1


def test_s17_a_ring_at_a_redis_that_hangs_ends_soon(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"redis://127.0.0.1:{hanging.getsockname()[1]}/0"
        with ringing_at(make_client(url, seconds=0.1)), caplog.at_level(logging.WARNING):
            ring("btc_1")

    assert "No doorbell for btc_1" in caplog.text


def test_s16_messages_are_never_retried_or_delayed_by_the_broker() -> None:
    """What waits in a process's memory is lost with it; backoff is in the database."""
    kinds = {type(one).__name__ for one in broker.middleware}

    assert "Retries" not in kinds
    assert "TimeLimit" in kinds
    assert dispatch_batch.options["time_limit"] == 60_000


def test_an_actor_before_the_stores_are_open_says_so() -> None:
    with pytest.raises(StoreUnavailable, match="not reached its stores"):
        resources()
