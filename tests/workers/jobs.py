"""Batches brought to a state by the product itself, and an engine without Ray to run them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aioboto3
import pyarrow as pa

from engine.inline_pool import InlinePools
from engine.inputs import InputReader
from engine.pools import Pool, Pools, ProgressClock
from engine.runner import BatchRun
from engine.spec import Extraction
from models.batch import Batch
from models.block import Block
from models.bucket import Bucket
from models.collection import Collection, InputMapping, Passthrough, Source
from models.document import Document
from models.ending import end_tasks
from models.errors import RayUnavailable
from models.events import read_events
from models.fields import ExtractorChoice
from models.object import Object
from models.scope import Scope
from models.stores import Stores
from workers.batches import open_batch
from workers.collections import CollectionDraft, open_collection
from workers.intake import ObjectDraft, open_bucket, register_objects
from workers.submissions import Submission, submit_batch


@dataclass(frozen=True)
class Job:
    """A draft and what it would run."""

    scope: Scope
    bucket: Bucket
    collections: list[Collection]
    object_ids: list[str]
    batch_id: str

    async def batch(self) -> Batch:
        """Return the batch as it is now."""
        return await self.scope.require(Batch, self.batch_id)

    async def blocks(self) -> list[Block]:
        """Return the blocks of the batch in the order of work."""
        found = await self.scope.all(Block, {"batch_id": self.batch_id})
        return sorted(found, key=lambda block: (block.tier, block.ordinal))

    async def documents(self, collection: int = 0) -> list[Document]:
        """Return what one of the collections holds."""
        return await self.scope.all(Document, {"collection_id": self.collections[collection].id})

    async def history(self) -> list[str]:
        """Return the types of the batch's events, whose numbers must have no holes."""
        events = await read_events(self.batch_id, after=0, limit=10_000)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        return [str(event.type) for event in events]


async def add_objects_to(
    stores: Stores, scope: Scope, bucket: Bucket, rows: list[Any]
) -> list[str]:
    """Register one object for each metadata; return their ids."""
    drafts = [ObjectDraft(key=None, metadata=row, blobs=[]) for row in rows]
    made = await register_objects(stores, scope, bucket.id, drafts)
    assert all(isinstance(one, Object) for one in made), made
    return [one.id for one in made if isinstance(one, Object)]


def make_draft(source: Source, name: str = "first", **values: Any) -> CollectionDraft:
    """Return a collection of passthrough@v1 that takes `number` along."""
    usual: dict[str, Any] = {
        "name": name,
        "description": "",
        "source": source,
        "extractor": "passthrough",
        "version": "v1",
        "parameters": None,
        "input_mappings": [InputMapping(input="content", path="number")],
        "passthrough": [Passthrough(path="number", target="number", required=True)],
    }
    return CollectionDraft(**{**usual, **values})


async def open_job(
    stores: Stores,
    scope: Scope,
    *,
    objects: int = 3,
    rows: list[Any] | None = None,
    collections: int = 1,
    name: str = "objects",
) -> Job:
    """Open a bucket with objects, a chain of collections and a draft over all of them."""
    bucket = await open_bucket(scope, name, description="", fields=[])
    chain: list[Collection] = []
    for number in range(collections):
        reads = [chain[-1].id] if chain else []
        source = Source(bucket_id=None if chain else bucket.id, collection_ids=reads)
        draft = make_draft(source, f"collection {number} of {name}")
        chain.append(await open_collection(scope, draft))
    metadata = rows if rows is not None else [{"number": number} for number in range(objects)]
    object_ids = await add_objects_to(stores, scope, bucket, metadata)
    batch = await open_batch(
        stores, scope, bucket_id=bucket.id, name="", metadata={}, object_ids=object_ids
    )
    return Job(scope, bucket, chain, object_ids, batch.id)


def with_engine(stores: Stores, **engine: Any) -> Stores:
    """Return the same stores under other engine settings."""
    changed = stores.settings.engine.model_copy(update=engine)
    return replace(stores, settings=stores.settings.model_copy(update={"engine": changed}))


def with_quotas(stores: Stores, **quotas: Any) -> Stores:
    """Return the same stores under other quotas."""
    changed = stores.settings.quotas.model_copy(update=quotas)
    return replace(stores, settings=stores.settings.model_copy(update={"quotas": changed}))


class Before:
    """Stands before a store: runs something of the test's before each call of one method."""

    def __init__(self, real: object, method: str, first: Callable[[], Awaitable[None]]) -> None:
        self._real = real
        self._method = method
        self._first = first

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name != self._method:
            return found

        async def call(*arguments: Any, **options: Any) -> Any:
            await self._first()
            return await found(*arguments, **options)

        return call


def before(stores: Stores, part: str, method: str, first: Callable[[], Awaitable[None]]) -> Stores:
    """Return the stores, with `first` awaited before each `stores.<part>.<method>()`."""
    changed: dict[str, Any] = {part: Before(getattr(stores, part), method, first)}
    return replace(stores, **changed)


async def stored_keys(stores: Stores, job: Job) -> set[str]:
    """Return every key of S3 under a job's batch."""
    part = stores.settings.s3
    secret = part.secret_key.get_secret_value() if part.secret_key else None
    session = aioboto3.Session(part.access_key, secret)
    prefix = f"{job.scope.namespace_id}/batches/{job.batch_id}/"
    async with session.client("s3", endpoint_url=part.endpoint_url, region_name="us-east-1") as s3:
        found = await s3.list_objects_v2(Bucket=part.bucket, Prefix=prefix)
    return {row["Key"] for row in found.get("Contents", [])}


async def submit(stores: Stores, job: Job) -> Submission:
    """Submit a job's batch."""
    return await submit_batch(stores, job.scope, job.batch_id)


class GatedPools:
    """Pools whose extractors wait until the test lets them go on."""

    def __init__(self, pools: InlinePools) -> None:
        self.pools = pools
        self.open = asyncio.Event()
        self.begun = asyncio.Event()

    def pool(self, choice: ExtractorChoice) -> Pool:
        """Return the pool of a choice behind the gate."""
        return _GatedPool(self, self.pools.pool(choice))


class _GatedPool:
    def __init__(self, gate: GatedPools, pool: Pool) -> None:
        self._gate = gate
        self._pool = pool

    async def extract(self, rows: pa.RecordBatch, progress: ProgressClock) -> Extraction:
        self._gate.begun.set()
        with progress.waiting():
            await self._gate.open.wait()
        return await self._pool.extract(rows, progress)


@dataclass
class InlineEngine:
    """The engine's twin: batches run as tasks of this process."""

    stores: Stores
    pools: Pools
    down: bool = False
    handed: list[tuple[str, int]] = field(default_factory=list)
    runs: list[asyncio.Task[None]] = field(default_factory=list)

    async def connect(self) -> None:
        """Fail like a cluster that is down."""
        if self.down:
            raise RayUnavailable("Ray does not answer.")

    async def hand_over(self, batch_id: str, epoch: int) -> None:
        """Run a batch; a second hand-over of the same pair is a no-op."""
        await self.connect()
        if (batch_id, epoch) not in self.handed:
            self.handed.append((batch_id, epoch))
            self.runs.append(asyncio.create_task(self._run(batch_id)))

    async def stop(self, batch_id: str) -> None:
        """Not needed: nothing of a canceled batch commits."""

    async def _run(self, batch_id: str) -> None:
        batch = await Batch.get(batch_id)
        assert batch is not None
        found = await Scope(batch.namespace_id).all(Collection)
        reader = InputReader(self.stores.artifacts, self.stores.egress)
        await BatchRun(
            self.stores,
            batch,
            {one.id: one for one in found},
            pools=self.pools,
            reader=reader,
            owner="inline",
        ).run()


@asynccontextmanager
async def inline_engine(stores: Stores, pools: Pools | None = None) -> AsyncIterator[InlineEngine]:
    """Open an engine; whatever it still runs is stopped at the end."""
    engine = InlineEngine(stores, pools or InlinePools(stores.settings.cache))
    try:
        yield engine
    finally:
        await end_tasks(*engine.runs)
