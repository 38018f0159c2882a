"""S9: the head of Ray is replaced; the job of the old one lives on, and comes to its end later."""

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.ray_runner import RayEngine
from models.artifacts import output_key
from models.batch import Batch
from models.block import Block
from models.embedded.endpoints import Endpoints
from models.embedded.ray import driver_environment
from models.embedded.servers import EmbeddedServers
from models.events import read_events
from models.settings import EngineSettings, RaySettings, Settings
from models.stored import LONG_AGO
from models.stores import Stores
from tests.engine.batches import (
    appeared,
    blocks_of,
    claim,
    documents_of,
    reread,
    submitted,
    texts_in,
    words_of,
)
from tests.engine.new_head import ROOT
from tests.extractors import choice
from tests.factories import make_bucket
from tests.fixtures.stores import NamespaceOfTest

pytestmark = [
    pytest.mark.long,
    pytest.mark.stack,
    pytest.mark.usefixtures("ray_driver"),
    pytest.mark.timeout(240),
]
UNAWARE = 600.0  # seconds of a lease that is asked for once, and not again before the end


@pytest.fixture
def new_head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """Another cluster, which knows nothing of the first."""
    folder = tmp_path_factory.mktemp("head")
    with EmbeddedServers(
        folder, mongo_url="", redis_url="", qdrant_url="", s3_url="", num_cpus=2
    ) as servers:
        yield servers.start()


async def lapse(batch: Batch) -> None:
    """Let the leases of the first epoch run out: nobody has heard of the old head for so long."""
    past = {"$set": {"lease_until": LONG_AGO}}
    await Batch.get_pymongo_collection().update_one({"_id": batch.id, "epoch": 1}, past)
    await Block.get_pymongo_collection().update_many({"batch_id": batch.id, "epoch": 1}, past)


async def hand_over(settings: Settings, batch: Batch, folder: Path) -> None:
    """Hand a batch to the cluster of the settings, from a process of its own."""
    path = folder / "settings"
    path.write_bytes(pickle.dumps(settings))
    token = settings.ray.token
    assert token is not None
    await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.engine.new_head", str(path), batch.id, str(batch.epoch)],
        cwd=ROOT,
        env={**os.environ, **driver_environment(token.get_secret_value())},
        check=True,
        timeout=90,
    )


async def test_s9_the_job_of_a_replaced_head_ends_later_and_is_refused(
    stores: Stores,
    namespace: NamespaceOfTest,
    ray_settings: Settings,
    new_head: Endpoints,
    tmp_path: Path,
) -> None:
    gate, held = tmp_path / "gate", tmp_path / "held"
    bucket = make_bucket(namespace.id)
    first = words_of(bucket, choice("holding@v1", gate=str(gate), held=str(held)))
    second = words_of([first], name="second")
    batch = await submitted(stores, bucket, texts_in(bucket, ["hold a", "b"]), first, second)
    # One block at once: what the old head has lost it could claim for itself, as it is not cut off.
    unaware = EngineSettings(lease_seconds=UNAWARE, pool_size=1, blocks_in_flight=1)
    old = RayEngine(ray_settings.model_copy(update={"engine": unaware}))
    ray = RaySettings(
        address=new_head.ray_address,
        token=RaySettings.model_validate({"token": new_head.ray_token}).token,
        namespace="new-head",
    )
    try:
        await old.hand_over(batch.id, batch.epoch)
        async with asyncio.timeout(60):
            await appeared(held)

        await lapse(batch)
        successor = await claim(stores, batch.id)
        await hand_over(ray_settings.model_copy(update={"ray": ray}), successor, tmp_path)
        async with asyncio.timeout(60):
            while (await reread(batch)).blocks_open:
                await asyncio.sleep(0.05)
        after_the_new = await state(batch), await documents_of(first), await documents_of(second)
        (block, _) = await blocks_of(batch)
        stale = output_key(
            batch.namespace_id, batch.id, batch.submission or "", block_id=block.id, epoch=1
        )
        assert stale not in await stores.artifacts.list_keys(namespace.id, limit=100)

        gate.touch()
        async with asyncio.timeout(60):
            while stale not in await stores.artifacts.list_keys(namespace.id, limit=100):
                await asyncio.sleep(0.05)
        await asyncio.sleep(3)  # what it does beyond its artifact would be done by now
    finally:
        gate.touch()
        old.end_conductors()

    assert (
        await state(batch), await documents_of(first), await documents_of(second)
    ) == after_the_new  # fmt: skip
    assert [one.epoch for one in await blocks_of(batch)] == [2, 1]  # the second was begun once
    assert {one.epoch for one in await documents_of(first)} == {2}
    types = [str(one.type) for one in await read_events(batch.id, after=0, limit=1000)]
    assert (types.count("block.done"), types.count("tier.completed")) == (2, 2)


async def state(batch: Batch) -> tuple[Batch, list[Block]]:
    """Return what MongoDB says of a batch."""
    return await reread(batch), await blocks_of(batch)
