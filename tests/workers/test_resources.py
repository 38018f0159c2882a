import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from dramatiq import Worker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import AsyncIO

from models.errors import StoreUnavailable
from models.settings import Settings
from models.stores import Stores
from workers import resources
from workers.resources import OpenResources


@pytest.fixture
def opened(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> Callable[[list[Exception]], list[str]]:
    """Let a worker open the stores of the test run, after it failed to in the ways given."""
    monkeypatch.setattr(resources, "_REOPEN_SECONDS", 0.01)

    def failing_first(failures: list[Exception]) -> list[str]:
        seen: list[str] = []

        @asynccontextmanager
        async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
            if failures:
                raise failures.pop(0)
            seen.append("opened")
            try:
                yield stores
            finally:
                seen.append("closed")

        async def idle(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(resources, "open_stores", open_stores)
        monkeypatch.setattr(resources, "sweep_forever", idle)
        monkeypatch.setattr(resources, "listen", idle)
        monkeypatch.setattr(resources, "listen_to_log", idle)
        monkeypatch.setattr(resources, "sweep_outbox_forever", idle)
        monkeypatch.setattr(resources, "run_tasks_forever", idle)
        return seen

    return failing_first


@asynccontextmanager
async def booted(settings: Settings) -> AsyncIterator[None]:
    """Run a worker with nothing to do until the block ends, whatever happens in it."""
    broker = StubBroker(middleware=[AsyncIO(), OpenResources(settings)])
    worker = Worker(broker, worker_threads=1, worker_timeout=10)
    await asyncio.to_thread(worker.start)
    try:
        yield
    finally:
        await asyncio.to_thread(worker.stop)


async def until_open() -> None:
    async with asyncio.timeout(20):
        while True:
            with suppress(StoreUnavailable):
                resources.resources()
                return
            await asyncio.sleep(0.01)


async def test_resources_are_there_while_the_worker_runs_and_gone_after_it(
    stores: Stores, opened: Callable[[list[Exception]], list[str]]
) -> None:
    seen = opened([])
    async with booted(stores.settings):
        await until_open()
        assert resources.resources().stores is stores

    assert seen == ["opened", "closed"]
    with pytest.raises(StoreUnavailable):
        resources.resources()


async def test_a_worker_that_could_not_open_its_stores_tries_again_whatever_it_was(
    stores: Stores,
    opened: Callable[[list[Exception]], list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened([StoreUnavailable("MongoDB does not answer."), RuntimeError("odd"), OSError("gone")])
    with caplog.at_level(logging.WARNING):
        async with booted(stores.settings):
            await until_open()

    assert "Waiting for the stores: MongoDB does not answer." in caplog.text
    assert "odd" in caplog.text
