import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pytest

from engine import runner
from engine.pools import ProgressClock
from models.errors import ExtractorDied, ExtractorUnavailable, PoolUnavailable
from models.fields import ExtractorChoice
from models.states import BlockStatus
from models.stores import Stores
from tests.engine.batches import (
    blocks_of,
    errors_of,
    run,
    said,
    submitted,
    texts_in,
    with_engine,
    words_of,
)
from tests.extractors import choice
from tests.factories import make_bucket
from tests.fixtures.stores import NamespaceOfTest

if TYPE_CHECKING:  # importing it imports Ray, which reads its token then
    from engine.ray_pool import RayPool, RayPools

pytestmark = [pytest.mark.long, pytest.mark.stack, pytest.mark.usefixtures("ray_driver")]
ROWS = pa.RecordBatch.from_pydict({"text": ["one two", "three"]})


@pytest.fixture
def ray_pools(tmp_path: Path) -> Iterator["RayPools"]:
    from engine.ray_pool import RayPools

    made = RayPools(tmp_path, size=2)
    yield made
    made.close()


def pool_of(pools: "RayPools", chosen: ExtractorChoice) -> "RayPool":
    return cast("RayPool", pools.pool(chosen))


async def extract(pool: "RayPool") -> list[str]:
    extraction = await pool.extract(ROWS, ProgressClock())
    words: list[str] = extraction.documents.column("word").to_pylist()
    return words


async def test_a_pool_grows_when_calls_wait_and_shrinks_when_idle(
    ray_pools: "RayPools", monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(ray_pools, choice("slow@v1", seconds=0.2))

    assert await extract(pool) == ["one", "two", "three"]
    assert pool.processes == 1

    async with asyncio.timeout(30):
        while pool.processes < 2:
            await asyncio.gather(*(extract(pool) for _ in range(4)))
    await asyncio.gather(*(extract(pool) for _ in range(6)))
    assert pool.processes == 2
    async with asyncio.timeout(20):  # of the second one; the first may always start
        while _reserved_memory() < 512 * 1024 * 1024:
            await asyncio.sleep(0.1)

    ray_pools.shrink()
    assert pool.processes == 2  # not idle for long enough
    monkeypatch.setattr("engine.ray_pool._SPARE_SECONDS", 0.0)
    async with asyncio.timeout(20):
        while pool.processes > 1:
            await asyncio.sleep(0.1)
            ray_pools.shrink()
    assert await extract(pool) == ["one", "two", "three"]

    monkeypatch.setattr("engine.ray_pool._RETIRE_SECONDS", 0.0)
    await asyncio.sleep(0.01)
    ray_pools.shrink()
    assert pool.processes == 0


async def test_an_idle_process_goes_sooner_when_another_pool_waits(
    ray_pools: "RayPools", monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, other = pool_of(ray_pools, choice("slow@v1", seconds=0.1)), choice("constant@v1")
    async with asyncio.timeout(30):
        while pool.processes < 2 or not all(member.ready for member in pool._members):
            await asyncio.gather(*(extract(pool) for _ in range(4)))
    monkeypatch.setattr("engine.ray_pool._IDLE_SECONDS", 0.0)
    ray_pools.shrink()
    assert pool.processes == 2

    waiting = asyncio.create_task(extract(pool_of(ray_pools, other)))
    await asyncio.sleep(0.01)
    ray_pools.shrink()

    assert pool.processes == 1
    await waiting


def _reserved_memory() -> float:
    import ray

    total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
    return total["memory"] - free.get("memory", 0.0)


async def test_a_warmed_pool_is_never_retired(
    ray_pools: "RayPools", monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(ray_pools, choice("constant@v1"))
    ray_pools.warm(choice("constant@v1"))
    await extract(pool)
    monkeypatch.setattr("engine.ray_pool._RETIRE_SECONDS", 0.0)
    await asyncio.sleep(0.01)

    ray_pools.shrink()

    assert pool.processes == 1


async def test_a_killed_process_is_replaced_for_the_next_call(
    ray_pools: "RayPools", tmp_path: Path
) -> None:
    graves = tmp_path / "graves"
    graves.mkdir()
    pool = pool_of(ray_pools, choice("dying@v1", graves=str(graves)))

    with pytest.raises(ExtractorDied, match="The process of dying@v1 ended"):
        await extract(pool)

    assert await extract(pool) == ["one", "two", "three"]


async def test_s5_a_process_that_hangs_is_ended_with_its_attempt(
    stores: Stores, namespace: NamespaceOfTest, ray_pools: "RayPools", tmp_path: Path
) -> None:
    bucket = make_bucket(namespace.id)
    chosen = choice("slow@v1", seconds=300, silent=True)
    collection = words_of(bucket, chosen)
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)

    await run(with_engine(stores, lease_seconds=1.5, max_attempts=1), batch, ray_pools)

    (error,) = await errors_of(batch)
    assert error.message == "No progress for 1 s in slow@v1; the attempt was ended."
    assert pool_of(ray_pools, chosen).processes == 0


async def test_progress_in_another_process_keeps_the_lease(
    stores: Stores, namespace: NamespaceOfTest, ray_pools: "RayPools"
) -> None:
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("slow@v1", seconds=3.2))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"]), collection)

    await run(with_engine(stores, lease_seconds=2.5), batch, ray_pools)

    (block,) = await blocks_of(batch)
    assert (block.status, block.attempts) == (BlockStatus.DONE, 1)


async def test_s8_a_batch_survives_the_death_of_its_extractors(
    stores: Stores,
    namespace: NamespaceOfTest,
    ray_pools: "RayPools",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "_BACKOFF_CAP", 0.1)
    graves = tmp_path / "graves"
    graves.mkdir()
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("dying@v1", graves=str(graves), deaths=2))
    batch = await submitted(stores, bucket, texts_in(bucket, ["a"] * 40), collection)

    ended = await run(stores, batch, ray_pools)

    assert await said(collection) == ["a"] * 40
    assert ended.counts.rows_failed == 0
    assert sum(block.attempts for block in await blocks_of(batch)) == 3 + 2
    assert len(list(graves.iterdir())) == 2  # a folder of two files


async def test_every_waiting_call_hears_why_nothing_starts(ray_pools: "RayPools") -> None:
    pool = pool_of(ray_pools, choice("unready@v1"))

    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(extract(pool) for _ in range(5)), return_exceptions=True)

    assert {type(answer) for answer in answers} == {ExtractorUnavailable}
    assert {getattr(answer, "hint", "") for answer in answers} == {"pip install nowhere"}


async def test_a_start_that_hangs_is_given_up(
    ray_pools: "RayPools", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.ray_pool._START_SECONDS", 0.001)
    pool = pool_of(ray_pools, choice("constant@v1"))

    with pytest.raises(PoolUnavailable, match="did not start within"):
        await extract(pool)


async def test_a_canceled_wait_gives_its_place_to_the_next(ray_pools: "RayPools") -> None:
    pool = pool_of(ray_pools, choice("slow@v1", seconds=0.5))
    await extract(pool)
    busy = asyncio.create_task(extract(pool))
    await asyncio.sleep(0.05)
    waiting = [asyncio.create_task(extract(pool)) for _ in range(2)]
    await asyncio.sleep(0.05)

    waiting[0].cancel()

    async with asyncio.timeout(20):
        assert await busy == await waiting[1] == ["one", "two", "three"]


async def test_extractors_that_compete_for_the_cores_all_end(
    stores: Stores, namespace: NamespaceOfTest, ray_pools: "RayPools"
) -> None:
    buckets = [make_bucket(namespace.id) for _ in range(3)]
    collections = [
        words_of(bucket, choice("slow@v1", seconds=0.1 + number / 100))
        for number, bucket in enumerate(buckets)
    ]
    batches = [
        await submitted(stores, bucket, texts_in(bucket, ["a"] * 40), collection)
        for bucket, collection in zip(buckets, collections, strict=True)
    ]

    async with asyncio.timeout(50):
        await asyncio.gather(*(run(stores, batch, ray_pools) for batch in batches))

    for batch, collection in zip(batches, collections, strict=True):
        assert await said(collection) == ["a"] * 40
        assert {block.attempts for block in await blocks_of(batch)} == {1}


async def test_a_pool_that_lost_its_free_process_starts_another_free_one(
    ray_pools: "RayPools",
) -> None:
    import ray

    pool = pool_of(ray_pools, choice("slow@v1", seconds=0.2))
    async with asyncio.timeout(30):
        while pool.processes < 2:
            await asyncio.gather(*(extract(pool) for _ in range(4)))
    await asyncio.gather(*(extract(pool) for _ in range(4)))
    free = next(member for member in pool._members if not member.reserves)
    ray.kill(free.actor)
    async with asyncio.timeout(20):
        while free in pool._members:
            await asyncio.gather(*(extract(pool) for _ in range(2)), return_exceptions=True)

    async with asyncio.timeout(20):
        while pool.processes < 2:
            await asyncio.gather(*(extract(pool) for _ in range(4)))

    assert sorted(member.reserves for member in pool._members) == [False, True]


class FullStore:
    """An actor that notes how many bytes all of its kind hold at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.extract = self.progress = self

    async def remote(self, rows: pa.RecordBatch | None = None) -> object:
        if rows is None:
            return 0
        self.now += rows.nbytes
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= rows.nbytes
        return rows


async def test_s24_what_is_sent_at_once_fits_into_the_object_store(
    ray_pools: "RayPools", tmp_path: Path
) -> None:
    from engine.byte_gate import ByteGate
    from engine.ray_pool import RayPool, _Member

    actor, limit = FullStore(), 3 * ROWS.nbytes
    pool = RayPool(choice("constant@v1"), tmp_path, size=8, gate=ByteGate(limit))
    pool._members = [_Member(actor, reserves=False, ready=True) for _ in range(8)]

    await asyncio.gather(*(pool.extract(ROWS, ProgressClock()) for _ in range(40)))

    assert actor.most == limit


class Unreachable(FullStore):
    """An actor on a node that went away."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def remote(self, rows: pa.RecordBatch | None = None) -> object:
        raise self._error


def _unreachable() -> Exception:
    from ray.exceptions import ActorUnavailableError

    return ActorUnavailableError("connection refused", None)


def _lost_answer() -> Exception:
    from ray.exceptions import ObjectLostError

    return ObjectLostError("00", b"", "")


def _dead_node() -> Exception:
    from ray.exceptions import NodeDiedError

    return NodeDiedError("the node is dead")  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("fail", [_unreachable, _lost_answer, _dead_node])
async def test_a_call_goes_on_where_there_is_a_node_left(
    ray_pools: "RayPools",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fail: Callable[[], Exception],
) -> None:
    from engine.byte_gate import ByteGate
    from engine.ray_pool import RayPool, _Member

    monkeypatch.setattr("ray.kill", lambda actor, no_restart: None)
    pool = RayPool(choice("constant@v1"), tmp_path, size=3, gate=ByteGate(10**6))
    left = _Member(FullStore(), reserves=False, ready=True)
    gone = [_Member(Unreachable(fail()), reserves=True, ready=True) for _ in range(2)]
    pool._members = [*gone, left]

    assert await pool.extract(ROWS, ProgressClock()) is ROWS
    assert pool._members == [left]
