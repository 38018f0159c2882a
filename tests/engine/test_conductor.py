import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.ray_runner import RayEngine
from models.batch import Batch
from models.settings import EngineSettings, Settings
from models.states import BlockStatus
from models.stores import Stores
from tests.engine.batches import (
    appeared,
    blocks_of,
    claim,
    errors_of,
    reread,
    said,
    submitted,
    texts_in,
    words_of,
)
from tests.engine.conftest import RAY_NAMESPACE
from tests.extractors import choice
from tests.factories import make_bucket
from tests.fixtures.stores import NamespaceOfTest

pytestmark = [pytest.mark.long, pytest.mark.stack, pytest.mark.usefixtures("ray_driver")]
LEASE = 2.5


@pytest.fixture(scope="module")
async def engine(ray_driver: None, ray_settings: Settings) -> AsyncIterator[RayEngine]:
    """The engine with conductors of its own."""
    leased = EngineSettings(lease_seconds=LEASE, block_rows=16, pool_size=2)
    made = RayEngine(ray_settings.model_copy(update={"engine": leased}))
    await made.connect()
    yield made
    made.end_conductors()


def conductor() -> Any:
    import ray

    return ray.get_actor("conductor-0", namespace=RAY_NAMESPACE)


async def await_end(batch: Batch) -> Batch:
    async with asyncio.timeout(40):
        while (now := await reread(batch)).blocks_open:
            await asyncio.sleep(0.05)
    return now


async def test_a_batch_runs_in_a_conductor(
    stores: Stores, namespace: NamespaceOfTest, engine: RayEngine
) -> None:
    bucket = make_bucket(namespace.id)
    first = words_of(bucket)
    second = words_of([first])
    batch = await submitted(stores, bucket, texts_in(bucket, ["a b"] * 50), first, second)

    async with stores.bus.listen(stores.bus.work_channel) as rung:
        await engine.hand_over(batch.id, batch.epoch)
        ended = await await_end(batch)
        async with asyncio.timeout(20):
            while batch.id not in await rung.wait(1):
                pass

    assert await said(second) == ["a"] * 50 + ["b"] * 50
    assert ended.counts.documents_written == 200


async def test_s10_a_second_hand_over_of_the_same_epoch_is_nothing(
    stores: Stores, namespace: NamespaceOfTest, engine: RayEngine, tmp_path: Path
) -> None:
    bucket = make_bucket(namespace.id)
    started = tmp_path / "started"
    collection = words_of(bucket, choice("slow@v1", seconds=1, started=str(started)))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)
    await engine.hand_over(batch.id, batch.epoch)
    await appeared(started)

    taken = await asyncio.gather(
        *(conductor().start.remote(batch.id, batch.epoch) for _ in range(5)),
        conductor().start.remote(batch.id, batch.epoch - 1),
    )
    await engine.hand_over(batch.id, batch.epoch)

    await await_end(batch)
    assert taken == [False] * 6
    (block,) = await blocks_of(batch)
    assert (block.attempts, block.epoch) == (1, 1)


async def test_s10_a_hand_over_of_what_has_ended_does_nothing(
    stores: Stores, namespace: NamespaceOfTest, engine: RayEngine
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket)
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)
    await engine.hand_over(batch.id, batch.epoch)
    ended = await await_end(batch)

    await engine.hand_over(batch.id, batch.epoch)
    await asyncio.sleep(0.3)

    assert (await reread(batch)).sequence == ended.sequence


async def test_s8_the_next_epoch_completes_what_a_killed_conductor_left(
    stores: Stores, namespace: NamespaceOfTest, engine: RayEngine, tmp_path: Path
) -> None:
    import ray

    bucket = make_bucket(namespace.id)
    started = tmp_path / "started"
    collection = words_of(bucket, choice("slow@v1", seconds=0.8, started=str(started)))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"] * 60), collection)
    await engine.hand_over(batch.id, batch.epoch)
    await appeared(started)

    ray.kill(conductor(), no_restart=False)

    killed = time.monotonic()
    async with asyncio.timeout(40):
        while True:
            try:
                successor = await claim(stores, batch.id, lease_seconds=LEASE)
                break
            except AssertionError:  # its lease still runs
                await asyncio.sleep(0.1)
    await engine.hand_over(batch.id, successor.epoch)
    ended = await await_end(batch)
    assert await said(collection) == ["a"] * 60
    assert successor.epoch == batch.epoch + 1
    assert ended.counts.documents_written == ended.counts.rows_succeeded == 60
    assert time.monotonic() - killed < 30


async def test_a_setup_that_fails_ends_the_batch_readably(
    stores: Stores, namespace: NamespaceOfTest, engine: RayEngine
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("unready@v1"))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"] * 40), collection)

    await engine.hand_over(batch.id, batch.epoch)

    await await_end(batch)
    assert {block.status for block in await blocks_of(batch)} == {BlockStatus.FAILED}
    errors = await errors_of(batch)
    assert {error.message for error in errors} == {"Net 'nowhere' is not installed."}


async def test_a_stopped_batch_is_dropped(
    stores: Stores, namespace: NamespaceOfTest, engine: RayEngine, tmp_path: Path
) -> None:
    bucket = make_bucket(namespace.id)
    started = tmp_path / "started"
    collection = words_of(bucket, choice("slow@v1", seconds=60, started=str(started)))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)
    await engine.hand_over(batch.id, batch.epoch)
    await appeared(started)

    await engine.stop(batch.id)
    await asyncio.sleep(1.2 * LEASE)

    (block,) = await blocks_of(batch)
    assert (block.status, block.attempts) == (BlockStatus.LEASED, 1)
    assert await conductor().start.remote(batch.id, batch.epoch + 1) is True  # nothing runs
