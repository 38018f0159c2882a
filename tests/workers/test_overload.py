"""S24: every store is slow and ten times as much is asked as may run: refused, bounded, drained."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import beanie
import httpx
import psutil
import pytest
from pymongo import AsyncMongoClient

from engine.catalog import CATALOG
from models.batch import Batch
from models.database import MODELS
from models.ending import end_tasks
from models.scope import Scope
from models.settings import LimitSettings, Settings
from models.states import FINAL, LIVE
from models.stores import Stores, open_stores
from tests.engine.batches import texts_in, words_of
from tests.extractors import EXTRACTORS
from tests.factories import make_bucket, store
from tests.fixtures.api import RunningApi, serve_api
from tests.fixtures.stores import NamespaceOfTest
from tests.slow_proxy import SlowProxy
from tests.workers.jobs import inline_engine, with_quotas
from workers.batches import open_batch
from workers.sweeps import sweep_forever

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
LIVE_BATCHES: Final = 4
CLIENTS: Final = 10 * LIVE_BATCHES
USUAL_SECONDS, LATE_SECONDS, LATE_EVERY = 0.05, 5.0, 64  # one of 64: the 99th percentile is 5 s
LOADED_SECONDS: Final = 20
DRAINED_SECONDS: Final = 200
IMPATIENT_SECONDS: Final = 0.25
GROWN_BYTES: Final = 300 * 1024 * 1024
SUBMIT = """mutation($id: ID!, $key: String!) {
  submitBatch(input: {batchId: $id, idempotencyKey: $key}) {
  batch { id } userErrors { code } } }"""
REFUSALS: Final = {"RATE_LIMITED", "LIMIT_EXCEEDED"}
# What a request may come to when a store answers too late for it; its client asks again.
LATE_CODES: Final = {
    "OPERATION_TIMEOUT",
    "STORE_UNAVAILABLE",
    "IDEMPOTENCY_IN_PROGRESS",
    "UNAVAILABLE",
}


@dataclass
class World:
    """The stores by their slow ways, and what was seen of them."""

    stores: Stores
    ways: list[SlowProxy]
    codes: Counter[str] = field(default_factory=Counter)
    most_live: int = 0
    most_bytes: int = 0
    loaded: bool = True

    def be_slow(self, slow: bool) -> None:
        """Slow all stores down, or let them go."""
        for way in self.ways:
            way.slow = slow
        self.loaded = slow


@pytest.fixture
async def world(
    stores: Stores,
    namespace: NamespaceOfTest,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[World]:
    """Every store by a way that can be slow; the namespace is there before."""
    monkeypatch.setitem(CATALOG, "constant@v1", EXTRACTORS["constant@v1"])
    parts = (settings.mongo.url, settings.redis.url, settings.s3.endpoint_url, settings.qdrant.url)
    async with AsyncExitStack() as stack:
        ways = [
            await stack.enter_async_context(
                SlowProxy(url or "", USUAL_SECONDS, LATE_SECONDS, LATE_EVERY).serve()
            )
            for url in parts
        ]
        _, redis, s3, qdrant = (way.through for way in ways)
        direct = f"mongodb://127.0.0.1:{ways[0].port}/?directConnection=true"
        slow = settings.model_copy(
            update={
                # Direct: a member of a replica set would be asked for its own address.
                "mongo": settings.mongo.model_copy(update={"url": direct}),
                "redis": settings.redis.model_copy(update={"url": redis}),
                "s3": settings.s3.model_copy(update={"endpoint_url": s3}),
                "qdrant": settings.qdrant.model_copy(update={"url": qdrant}),
                "worker": settings.worker.model_copy(update={"lease_seconds": 30.0}),
                "engine": settings.engine.model_copy(update={"lease_seconds": 30.0}),
            }
        )
        opened = await stack.enter_async_context(open_stores(slow))
        yield World(with_quotas(opened, live_batches=LIVE_BATCHES), ways)
    await beanie.init_beanie(
        database=stores.database.handle, document_models=list(MODELS), skip_indexes=True
    )


async def drafts(stores: Stores, scope: Scope) -> list[str]:
    """Return a draft for each client; each is over the same four texts."""
    bucket = make_bucket(scope.namespace_id)
    objects = texts_in(bucket, ["a", "b", "c", "d"])
    await store(bucket, words_of(bucket), *objects)
    made = [
        await open_batch(
            stores, scope,
            bucket_id=bucket.id, name="", metadata={}, object_ids=[one.id for one in objects],
        )
        for _ in range(CLIENTS)
    ]  # fmt: skip
    return [batch.id for batch in made]


def said(response: httpx.Response) -> str:
    """Return the code of a refusal, or OK."""
    body: dict[str, Any] = response.json()
    if errors := body.get("errors"):
        return str(errors[0]["extensions"]["code"])
    refused = body["data"]["submitBatch"]["userErrors"]
    return str(refused[0]["code"]) if refused else "OK"


async def insist(api: RunningApi, key: str, batch_id: str, world: World) -> None:
    """Submit until it is taken: at once again under the load, as long as asked for after it."""
    while True:
        response = await api.post(
            {"query": SUBMIT, "variables": {"id": batch_id, "key": batch_id}}, key
        )
        code = said(response)
        world.codes[code] += 1
        if code == "OK":
            return
        wait = float(response.headers.get("retry-after", 0))
        assert code != "RATE_LIMITED" or (response.status_code == 429 and wait >= 1)
        await asyncio.sleep(IMPATIENT_SECONDS if world.loaded else max(wait, IMPATIENT_SECONDS))


async def watch(settings: Settings, namespace_id: str, world: World) -> None:
    """Look again and again, by the fast way, how much there is of what must be bounded."""
    process = psutil.Process()
    match = {"namespace_id": namespace_id, "status": {"$in": sorted(LIVE)}}
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(settings.mongo.url)
    async with client:
        batches = client[settings.mongo.database]["batches"]
        while True:
            world.most_live = max(world.most_live, await batches.count_documents(match))
            world.most_bytes = max(world.most_bytes, process.memory_info().rss)
            await asyncio.sleep(0.1)


async def test_s24_ten_times_the_load_on_slow_stores_is_refused_bounded_and_drained(
    world: World, namespace: NamespaceOfTest, settings: Settings
) -> None:
    ids = await drafts(world.stores, namespace.scope)
    before = psutil.Process().memory_info().rss
    limits = LimitSettings(cost_bucket=100, cost_restored=50)
    async with (
        serve_api(world.stores, limits=limits) as api,
        inline_engine(world.stores) as engine,
    ):
        clients: list[asyncio.Task[None]] = []
        beside = [
            asyncio.create_task(sweep_forever(world.stores, engine)),
            asyncio.create_task(watch(settings, namespace.id, world)),
        ]
        try:
            world.be_slow(True)
            clients = [
                asyncio.create_task(insist(api, namespace.api_key, one, world)) for one in ids
            ]
            await asyncio.sleep(LOADED_SECONDS)
            under_load = Counter(world.codes)
            world.be_slow(False)
            async with asyncio.timeout(DRAINED_SECONDS):
                await asyncio.gather(*clients)
                while await live(namespace):
                    await asyncio.sleep(0.1)
        finally:
            await end_tasks(*beside, *clients)

    batches = await namespace.scope.all(Batch)
    assert {str(one.status) for one in batches} == {"COMPLETED"}
    assert [one.counts.documents_written for one in batches] == [4] * CLIENTS
    assert all(way.late for way in world.ways)
    assert under_load["RATE_LIMITED"] > CLIENTS
    assert set(world.codes) <= {"OK", *REFUSALS, *LATE_CODES}
    assert world.most_live <= LIVE_BATCHES
    assert world.most_bytes - before < GROWN_BYTES


async def live(namespace: NamespaceOfTest) -> int:
    """Return how many of the submitted batches have not ended."""
    return await namespace.scope.count(Batch, {"status": {"$nin": sorted(FINAL)}})
