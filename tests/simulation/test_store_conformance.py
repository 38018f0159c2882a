"""The product's own classes over the stand-ins for S3, Qdrant and Redis, and over the real ones."""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from models.artifacts import ArtifactStore
from models.bus import Bus
from models.errors import StrataError
from models.ids import new_id
from models.points import DenseRows
from models.stores import Stores
from models.vectors import VectorStore
from tests.factories import make_bucket, make_collection
from tests.simulation.extractors import VECTOR
from tests.simulation.loop import virtual_loop
from tests.simulation.messages import Connection, Messages
from tests.simulation.network import Network
from tests.simulation.objects import Objects
from tests.simulation.points import Points

Case = Callable[[Stores], Awaitable[Any]]


async def require_equal_answers(stores: Stores, case: Case) -> Any:
    """Run a case over both, and return what both answered."""
    real = await case(stores)
    simulated = await asyncio.to_thread(lambda: copy_context().run(_simulate, stores, case))
    assert simulated == real
    return real


def _simulate(stores: Stores, case: Case) -> Any:
    chance = random.Random(1)
    with virtual_loop(chance) as loop:
        network = Network(loop, chance)
        points, connection = Points(network), Connection(Messages(network))
        bus = Bus(stores.settings.redis)
        bus.redis = cast(Any, connection)
        bus._pubsub = cast(Any, connection.pubsub())
        simulated = replace(
            stores,
            artifacts=ArtifactStore(cast(Any, Objects(network)), stores.settings.s3),
            vectors=VectorStore(cast(Any, points), cast(Any, points), stores.settings.qdrant),
            bus=bus,
        )
        return loop.run_until_complete(case(simulated))


async def outcome(doing: Awaitable[Any]) -> Any:
    try:
        return await doing
    except StrataError as error:
        return error.code


async def test_keys_are_created_once(stores: Stores, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    one, two = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, second))
    name = new_id("ns")

    async def case(stores: Stores) -> list[Any]:
        artifacts, key = stores.artifacts, f"{name}/key"
        return [
            await outcome(artifacts.read(key, sha256=one)),
            await outcome(artifacts.create(key, first, sha256=one)),
            await outcome(artifacts.create(key, first, sha256=one)),
            await outcome(artifacts.create(key, second, sha256=two)),
            await outcome(artifacts.read(key, sha256=one)),
            await outcome(artifacts.read(key, sha256=two)),
            await artifacts.list_keys(name, limit=10),
            await outcome(artifacts.delete_keys([key, f"{name}/none"])),
            await artifacts.list_keys(name, limit=10),
        ]

    answers = await require_equal_answers(stores, case)

    assert answers[3] == "ARTIFACT_CORRUPT"
    assert answers[4] == b"1"


async def test_an_earlier_epoch_leaves_the_points_of_a_later_one(stores: Stores) -> None:
    collection = make_collection(make_bucket(new_id("ns")), vectors=[VECTOR])
    ids = [f"00000000-0000-0000-0000-00000000000{number}" for number in range(3)]

    async def case(stores: Stores) -> list[int]:
        async def write(ids: list[str], block_id: str, epoch: int) -> None:
            rows = DenseRows(np.ones((len(ids), VECTOR.dimension), np.float32))
            payloads = [{"block_id": block_id, "epoch": epoch} for _ in ids]
            await stores.vectors.upsert(
                collection.id, ids, payloads, {VECTOR.name: rows}, block_id=block_id, epoch=epoch
            )

        async def count(block_id: str, epoch: int) -> int:
            return await stores.vectors.count_block(collection.id, block_id, epoch=epoch)

        await stores.vectors.ensure(collection)
        await write(ids[:2], "a", 2)
        await write(ids, "a", 1)
        found = [await count("a", 1), await count("a", 2)]
        await write(ids[:1], "b", 1)
        await stores.vectors.delete(collection.id, [ids[1]])
        return [*found, await count("a", 2), await count("b", 1)]

    assert await require_equal_answers(stores, case) == [1, 2, 0, 1]


async def test_whoever_listens_hears_of_what_is_published(stores: Stores) -> None:
    async def case(stores: Stores) -> list[set[str]]:
        async with stores.bus.listen(stores.bus.work_channel) as listener:
            await asyncio.sleep(0.2)
            await stores.bus.ring_workers("btc_1")
            await stores.bus.ring_workers("btc_2")
            await asyncio.sleep(0.2)
            return [await listener.wait(2), await listener.wait(0.01)]

    assert await require_equal_answers(stores, case) == [{"btc_1", "btc_2"}, set()]
