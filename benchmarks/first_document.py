"""First document: from the call of submitBatch for one object to its document in a search, warm.

The client searches again and again, as a person who waits; the clock stops at the first answer that
holds the document. What is left of the time is one search.
"""

import asyncio
import statistics
import time
from typing import Final

from benchmarks.library import Library, open_library
from benchmarks.stack import Product, running_product
from benchmarks.usage import machine
from models.bucket import Bucket
from models.collection import Collection

LIMIT_SECONDS: Final = 0.5
_WARM_RUNS: Final = 3
_GIVEN_UP: Final = 30.0
SEARCH: Final = """query($id: ID!, $text: String!) {
  searchDocuments(collectionId: $id, query: {text: $text}, first: 1) {
    hits { score document { fields } } } }"""


def run(runs: int = 20) -> dict[str, object]:
    """Measure and return the figures."""
    with running_product() as product:
        seconds, searches = asyncio.run(_measure(product, runs))
    median = statistics.median(seconds)
    return {
        "benchmark": "first_document",
        "value": round(median, 4),
        "unit": "s",
        "limit": LIMIT_SECONDS,
        "ratio": round(median / LIMIT_SECONDS, 3),
        "spread": [round(min(seconds), 4), round(max(seconds), 4)],
        "one_search": round(statistics.median(searches), 4),
        "runs": len(seconds),
        **machine(),
    }


async def _measure(product: Product, runs: int) -> tuple[list[float], list[float]]:
    async with open_library(product) as library:
        bucket = await library.bucket()
        collection = await library.text_collection(bucket)
        found = [
            await _one(library, bucket, collection, number) for number in range(_WARM_RUNS + runs)
        ]
    return [first for first, _ in found[_WARM_RUNS:]], [last for _, last in found[_WARM_RUNS:]]


async def _one(
    library: Library, bucket: Bucket, collection: Collection, number: int
) -> tuple[float, float]:
    """Return the seconds to the document, and how long the last search took."""
    text = f"The lighthouse number {number} stands {number * 37} steps above the sea."
    batch_id = await library.draft(bucket, await library.texts(bucket, [text]))
    started = time.perf_counter()
    await library.client.submit(batch_id)
    while time.perf_counter() - started < _GIVEN_UP:
        asked = time.perf_counter()
        answer = await library.client.data(SEARCH, id=collection.id, text=text)
        hits = (answer["searchDocuments"] or {}).get("hits") or []
        if hits and hits[0]["document"]["fields"]["text"] == text:
            return time.perf_counter() - started, time.perf_counter() - asked
    raise RuntimeError(f"document {number} did not appear within {_GIVEN_UP} s")
