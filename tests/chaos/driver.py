"""Runs batches under faults, one fault a run at a random moment, and checks each afterwards."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.chaos.checker import Content, RawStores, check_batch, read_content
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.product import Product
from tests.chaos.subscriber import Subscriber
from tests.e2e.flows import FINAL, operation

_END_SECONDS: Final = 180
_STRIKES: Final = 20
_WORDS: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight")


@dataclass(frozen=True)
class Outcome:
    """One run: what befell it, how long it took to go on, and what the checker found."""

    fault: str
    recovery_seconds: float
    batch_seconds: float
    violations: list[str]


@dataclass
class Api:
    """GraphQL through any number of restarts of whatever answers."""

    http: httpx.AsyncClient
    endpoint: str
    key: str

    async def data(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask until there is an answer; what is asked here may be asked again."""
        async with asyncio.timeout(_END_SECONDS):
            while True:
                try:
                    answer = await self.http.post(
                        self.endpoint,
                        json={"query": query, "variables": variables},
                        headers={"Authorization": f"Bearer {self.key}"},
                    )
                    body = answer.json()
                    if answer.status_code == 200 and "errors" not in body:
                        return dict(body["data"])
                except (httpx.HTTPError, ValueError):
                    pass
                await asyncio.sleep(0.1)


@dataclass
class Chaos:
    """A product under faults."""

    product: Product
    raw: RawStores
    api: Api
    lease_seconds: float
    seed: int
    objects: int = 160
    expected: Content = field(default_factory=dict)

    async def run(self, fault: Fault, moment: float) -> Outcome:
        """Submit a batch, strike once `moment` (0 to 1) of it is done, wait, check."""
        batch_id = await self._draft()
        subscriber = Subscriber(self.product.base_url, self.api.key, batch_id)
        following = asyncio.create_task(subscriber.follow())
        started = time.monotonic()
        await self.api.data(operation("submitBatch"), batchId=batch_id)
        await self._await(batch_id, lambda batch: _share(batch) >= moment)
        struck = await self._strike(fault)
        recovery = await self._await_news(batch_id, struck)
        await self._await(batch_id, lambda batch: batch["status"] in FINAL)
        took = time.monotonic() - started
        async with asyncio.timeout(_END_SECONDS):
            await following
        wrong = await asyncio.to_thread(
            check_batch, self.raw, batch_id, subscriber, expected=self.expected
        )
        return Outcome(fault.name, recovery, took, wrong)

    async def rehearse(self) -> str:
        """Run once without a fault: what it writes is what every run must write.

        Returns the batch's id.
        """
        batch_id = await self._draft()
        await self.api.data(operation("submitBatch"), batchId=batch_id)
        await self._await(batch_id, lambda batch: batch["status"] in FINAL)
        self.expected = await asyncio.to_thread(read_content, self.raw, batch_id)
        if len(self.expected) < self.objects:
            raise RuntimeError(f"the run without a fault wrote {len(self.expected)} documents")
        return batch_id

    async def _strike(self, fault: Fault) -> float:
        for _ in range(_STRIKES):
            if await fault.strike(self.product, self.lease_seconds):
                return time.monotonic()
            await asyncio.sleep(0.1)
        raise RuntimeError(f"{fault.name}: nobody there to strike")

    async def _await(self, batch_id: str, reached: Callable[[dict[str, Any]], bool]) -> None:
        async with asyncio.timeout(_END_SECONDS):
            while not reached(await self._read(batch_id)):
                await asyncio.sleep(0.05)

    async def _await_news(self, batch_id: str, struck: float) -> float:
        """Return the seconds from the strike until another block is committed, or the end."""
        before = (await self._read(batch_id))["progress"]["blocksDone"]
        await self._await(
            batch_id,
            lambda batch: batch["progress"]["blocksDone"] > before or batch["status"] in FINAL,
        )
        return time.monotonic() - struck

    async def _read(self, batch_id: str) -> dict[str, Any]:
        batch: dict[str, Any] = (await self.api.data(operation("batch"), id=batch_id))["batch"]
        return batch

    async def _draft(self) -> str:
        """Make a bucket of texts, two tiers of collections over it, and a draft of all of it."""
        fields = [{"name": "content", "type": "TEXT"}, {"name": "number", "type": "INTEGER"}]
        made = await self.api.data(operation("createBucket"), name=_name(), fields=fields)
        bucket_id = made["createBucket"]["bucket"]["id"]
        first = await self._collection(
            name=_name(),
            source={"bucketId": bucket_id},
            extractor={
                "name": "text",
                "parameters": {"split_by": "words", "chunk_size": 12, "chunk_overlap": 2},
            },
            inputMappings=[{"input": "text", "path": "content"}],
            passthrough=[{"path": "number"}],
        )
        await self._collection(
            name=_name(),
            source={"collectionIds": [first]},
            extractor={"name": "passthrough"},
            inputMappings=[{"input": "content", "path": "text"}],
            passthrough=[{"path": "number"}],
        )
        objects = [
            {"metadata": {"number": n}, "blobs": [{"property": "content", "text": text}]}
            for n, text in enumerate(self._texts())
        ]
        stored = await self.api.data(
            operation("createObjects"), bucketId=bucket_id, objects=objects
        )
        ids = [row["object"]["id"] for row in stored["createObjects"]["results"]]
        drafted = await self.api.data(operation("createBatch"), bucketId=bucket_id, objectIds=ids)
        return str(drafted["createBatch"]["batch"]["id"])

    async def _collection(self, **values: Any) -> str:
        made = await self.api.data(operation("createCollection"), input=values)
        return str(made["createCollection"]["collection"]["id"])

    def _texts(self) -> list[str]:
        choose = random.Random(self.seed)
        return [
            " ".join(choose.choice(_WORDS) for _ in range(choose.randint(5, 60)))
            for _ in range(self.objects)
        ]


@asynccontextmanager
async def open_chaos(
    product: Product, raw: RawStores, *, lease_seconds: float, seed: int
) -> AsyncIterator[Chaos]:
    """Open a namespace in a running product and rehearse."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
        endpoint = f"{product.base_url}/graphql"
        admin = Api(http, endpoint, product.endpoints["STRATA_ADMIN_KEY"])
        opened = await admin.data(operation("createNamespace"), name=_name())
        api = Api(http, endpoint, opened["createNamespace"]["apiKey"])
        chaos = Chaos(product, raw, api, lease_seconds, seed)
        await chaos.rehearse()
        yield chaos


def plan_faults(
    runs: int, seed: int, faults: Sequence[Fault] = FAULTS
) -> list[tuple[Fault, float]]:
    """Return the faults and moments of `runs` runs: every fault in turn, in a shuffled order."""
    choose = random.Random(seed)
    plan: list[Fault] = []
    while len(plan) < runs:
        plan += choose.sample(faults, len(faults))
    return [(fault, choose.uniform(0.05, 0.8)) for fault in plan[:runs]]


def _share(batch: dict[str, Any]) -> float:
    progress = batch["progress"]
    if batch["status"] in FINAL:
        return 1.0
    return float(progress["blocksDone"] / max(progress["blocksTotal"], 1))


def _name() -> str:
    return f"chaos {time.time_ns()}"
