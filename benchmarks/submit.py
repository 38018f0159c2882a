"""Submit: from the call of submitBatch to its answer, for many objects at once.

The answer comes when everything is flattened, written as Parquet and cut into blocks. `memory_mb`
is what the API's process takes above what it held before, for each size: it has to stay flat.
"""

import asyncio
import statistics
from typing import Final

from benchmarks.library import Library, open_library
from benchmarks.stack import Product, running_product
from benchmarks.usage import Usage, machine

LIMIT_SECONDS: Final = 1.5
LIMIT_MB: Final = 300


def run(objects: int = 10_000, runs: int = 5, large: int = 200_000) -> dict[str, object]:
    """Measure and return the figures; `large` objects are submitted once, for their memory."""
    with running_product() as product:
        seconds, memory = asyncio.run(_measure(product, objects, runs, large))
    median = statistics.median(seconds)
    return {
        "benchmark": "submit",
        "value": round(median, 3),
        "unit": "s",
        "limit": LIMIT_SECONDS,
        "ratio": round(median / LIMIT_SECONDS, 3),
        "spread": [round(min(seconds), 3), round(max(seconds), 3)],
        "objects": objects,
        "objects_per_second": round(objects / median),
        "memory_mb": memory,
        "memory_limit_mb": LIMIT_MB,
        "runs": len(seconds),
        **machine(),
    }


async def _measure(
    product: Product, objects: int, runs: int, large: int
) -> tuple[list[float], dict[int, int]]:
    async with open_library(product) as library:
        await _one(library, product, min(objects, 1000))  # warms the API's process
        small = [await _one(library, product, objects) for _ in range(runs)]
        _, most = await _one(library, product, large)
    memory = {objects: round(max(mb for _, mb in small)), large: round(most)}
    return [seconds for seconds, _ in small], memory


async def _one(library: Library, product: Product, objects: int) -> tuple[float, float]:
    bucket = await library.bucket()
    await library.kept_collection(bucket)
    batch_id = await library.draft(bucket, await library.rows(bucket, objects))
    with Usage(product.process, name="api") as usage:
        seconds = await library.client.submit(batch_id)
    await library.client.cancel(batch_id)  # what follows is another benchmark's
    return seconds, usage.grown_mb
