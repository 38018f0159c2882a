"""A batch of small objects: what the engine itself costs, with an extractor that does nothing.

Documents a second from the call of submitBatch to the frame that says COMPLETED. `limit` is what
writing the same documents straight into MongoDB and Qdrant takes, in turns with the batches, with
both stores at work at once and several requests under way.
"""

import asyncio
import statistics
import time
from typing import Any, Final

from benchmarks.library import Library, open_library
from benchmarks.stack import Product, running_product
from benchmarks.usage import Usage, machine
from models.bucket import Bucket
from models.collection import Collection
from models.document import Document
from models.ids import document_id, new_id

GOAL: Final = 3000
_CHUNK: Final = 2000


def run(objects: int = 50_000, rounds: int = 3) -> dict[str, object]:
    """Measure and return the figures."""
    with running_product() as product:
        batches, straight, usage = asyncio.run(_measure(product, objects, rounds))
    value, limit = statistics.median(batches), statistics.median(straight)
    return {
        "benchmark": "passthrough_batch",
        "value": round(value),
        "unit": "documents/s",
        "limit": round(limit),
        "ratio": round(value / limit, 3),
        "goal": GOAL,
        "spread": {
            "batch": [round(one) for one in batches],
            "straight": [round(one) for one in straight],
        },
        "objects": objects,
        "cpu_seconds": usage.cpu_seconds,
        "peak_mb": round(usage.peak_mb),
        **machine(),
    }


async def _measure(
    product: Product, objects: int, rounds: int
) -> tuple[list[float], list[float], Usage]:
    async with open_library(product) as library:
        bucket = await library.bucket()
        ids = await library.rows(bucket, objects)
        await run_batch(library, bucket, ids[: min(objects, 1000)])  # warms the pool
        batches, straight = [], []
        for _ in range(rounds):
            straight.append(objects / await _straight(library, objects))
            with Usage(product.process) as usage:
                batches.append(objects / await run_batch(library, bucket, ids))
    return batches, straight, usage


async def run_batch(library: Library, bucket: Bucket, ids: list[str]) -> float:
    """Run a batch of its own bucket's one collection; return its seconds."""
    collection = await library.kept_collection(bucket)
    try:
        batch_id = await library.draft(bucket, ids)
        _, seconds = await library.client.run_to_end(batch_id)
        if (written := await library.documents(collection)) != len(ids):
            raise RuntimeError(f"{written} documents of {len(ids)}: the rate means nothing")
    finally:
        await library.forget(collection)  # else the next batch fills it too
    return seconds


async def _straight(library: Library, count: int) -> float:
    """Write as many documents straight into both stores; return the seconds."""
    collection = Collection(
        id=new_id("col"), namespace_id=library.scope.namespace_id, name=new_id("col"),
        source={"bucket_id": new_id("bkt")}, extractor={"name": "passthrough", "version": "v1"},
    )  # fmt: skip
    rows = [_document(collection, number) for number in range(count)]
    await library.stores.vectors.ensure(collection)
    started = time.perf_counter()
    gate = asyncio.Semaphore(4)
    async with asyncio.TaskGroup() as group:
        for start in range(0, count, _CHUNK):
            group.create_task(_write(library, collection, rows[start : start + _CHUNK], gate))
    seconds = time.perf_counter() - started
    await library.forget(collection)
    return seconds


async def _write(
    library: Library, collection: Collection, rows: list[dict[str, Any]], gate: asyncio.Semaphore
) -> None:
    payload = {name: rows[0][name] for name in ("collection_id", "batch_id", "block_id", "epoch")}
    payloads = [{**payload, "object_id": row["object_id"]} for row in rows]
    async with gate, asyncio.TaskGroup() as group:
        group.create_task(_insert(rows))
        group.create_task(
            library.stores.vectors.upsert(
                collection.id,
                [row["_id"] for row in rows],
                payloads,
                {},
                block_id=rows[0]["block_id"],
                epoch=1,
            )
        )


async def _insert(rows: list[dict[str, Any]]) -> None:
    await Document.get_pymongo_collection().insert_many(rows, ordered=False)


def _document(collection: Collection, number: int) -> dict[str, Any]:
    object_id = new_id("obj")
    made = document_id(
        namespace_id=collection.namespace_id, collection_id=collection.id,
        source_id=object_id, extractor="passthrough@v1", ordinal=0,
    )  # fmt: skip
    return Document(
        id=made, namespace_id=collection.namespace_id, collection_id=collection.id,
        batch_id="btc_straight", block_id="blk_straight", epoch=1,
        object_id=object_id, source_id=object_id, ordinal=0,
        fields={"number": number, "title": f"object {number}", "even": number % 2 == 0},
    ).to_mongo()  # fmt: skip
