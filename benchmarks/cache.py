"""Searches by text that are asked again and again while a collection is written: hits and misses.

Questions come from a skewed choice, as users' do; each round begins with a committed write, after
which no earlier answer counts. What is reported is the median time of a hit beside that of a miss
and of the same search past the cache, and how many were hits.
"""

import asyncio
import random
import statistics
import time
from typing import Any, Final

from benchmarks.library import Library, open_library
from benchmarks.stack import Product, running_product
from models.collection import Collection

LIMIT: Final = 0.5  # of a miss: what a hit may take at most
ROUNDS: Final = 4
ASKED: Final = 150  # searches of a round
QUESTIONS: Final = 40
_SEED: Final = 7
_WORDS: Final = (
    "tide", "moon", "bread", "oven", "chess", "king", "river", "stone", "winter", "garden",
    "engine", "sail", "harbour", "letter", "forest", "silver", "candle", "market", "bridge",
)  # fmt: skip
SEARCH: Final = """query($id: ID!, $text: String!) {
  searchDocuments(collectionId: $id, query: {text: $text}) {
    hits { score document { id fields } } userErrors { message } } }"""


def run(texts: int = 500) -> dict[str, object]:
    """Measure and return the figures."""
    with running_product() as product:
        return asyncio.run(_measure(product, texts))


async def _measure(product: Product, texts: int) -> dict[str, object]:
    chance = random.Random(_SEED)
    async with open_library(product) as library:
        bucket = await library.bucket()
        collection = await library.text_collection(bucket)
        bodies = [" ".join(chance.choices(_WORDS, k=12)) for _ in range(texts)]
        object_ids = await library.texts(bucket, bodies)
        await library.client.run_to_end(await library.draft(bucket, object_ids))
        await _ask(library, collection, "warm up", cache=False)
        times: dict[str, list[float]] = {"HIT": [], "MISS": [], "BYPASS": []}
        for _ in range(ROUNDS):
            more = await library.texts(bucket, [" ".join(chance.choices(_WORDS, k=12))])
            await library.client.run_to_end(await library.draft(bucket, more))
            for _ in range(ASKED):
                question = _WORDS[0] + str(min(int(chance.expovariate(0.15)), QUESTIONS))
                status, spent = await _ask(library, collection, question)
                times[status].append(spent)
        for place in range(QUESTIONS):
            _, spent = await _ask(library, collection, _WORDS[0] + str(place), cache=False)
            times["BYPASS"].append(spent)
    hit, miss, past = (statistics.median(times[name]) for name in ("HIT", "MISS", "BYPASS"))
    looks = len(times["HIT"]) + len(times["MISS"])
    return {
        "benchmark": "cache",
        "value": round(hit * 1000, 2),
        "unit": "ms, median of a hit",
        "limit": LIMIT,
        "ratio": round(hit / miss, 3),
        "miss_ms": round(miss * 1000, 2),
        "past_the_cache_ms": round(past * 1000, 2),
        "hit_rate": round(len(times["HIT"]) / looks, 3),
        "searches": looks,
        "writes": ROUNDS,
        "documents": texts + ROUNDS,
    }


async def _ask(
    library: Library, collection: Collection, text: str, *, cache: bool = True
) -> tuple[str, float]:
    variables: dict[str, Any] = {"id": collection.id, "text": text}
    started = time.perf_counter()
    answer = await library.client.answer(SEARCH, variables, extensions={"cache": cache})
    spent = time.perf_counter() - started
    if "errors" in answer or answer["data"]["searchDocuments"]["userErrors"]:
        raise RuntimeError(answer)
    return str(answer["extensions"]["cache"]["status"]), spent
