"""A hundred batches with ten fields: requests a second beside JSON by hand from the same call."""

import asyncio
import json
import os
import statistics
from typing import Any, Final

from benchmarks.graphql_server import PAGE, compared
from benchmarks.load import Load
from benchmarks.namespace import open_namespace
from benchmarks.stack import running_product
from models.batch import Batch
from models.ids import new_id
from models.settings import load_settings
from models.stores import open_stores

LIMIT: Final = 0.4  # of the JSON made by hand
ROUNDS: Final = 5
SECONDS: Final = 3.0
QUERY: Final = """{ batches(first: 100) { edges { node {
  id name status sequence bucketId errorMessage createdAt updatedAt
  counts { objects documentsWritten } } } } }"""


def run() -> dict[str, object]:
    """Measure and return the figures."""
    with running_product() as product:
        namespace = asyncio.run(open_namespace(product, "list"))
        asyncio.run(_fill(load_settings(product.data), namespace.id))
        with compared(product, namespace.id) as base_url:
            rounds = asyncio.run(_measure(base_url, namespace.key))
    ratios = [ours / bare for bare, ours, _ in rounds]
    bare, ours, stock = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {
        "benchmark": "graphql_list",
        "value": round(ours, 1),
        "unit": "requests/s",
        "limit": LIMIT,
        "ratio": round(statistics.median(ratios), 3),
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "by_hand": round(bare, 1),
        "stock": round(stock, 1),
        "stock_ratio": round(stock / bare, 3),
        "rounds": ROUNDS,
        "cores": os.cpu_count(),
    }


async def _fill(settings: Any, namespace_id: str) -> None:
    async with open_stores(settings):
        rows = [
            Batch(
                id=new_id("btc"), namespace_id=namespace_id, bucket_id=new_id("bkt"),
                name=f"batch {number}",
            ).to_mongo()
            for number in range(PAGE)
        ]  # fmt: skip
        await Batch.get_pymongo_collection().insert_many(rows)


async def _measure(base_url: str, key: str) -> list[tuple[float, float, float]]:
    fields = (("content-type", "application/json"), ("authorization", f"Bearer {key}"))
    body = json.dumps({"query": QUERY}).encode()
    loads = (
        Load(f"{base_url}/bare-list"),
        Load(f"{base_url}/graphql", body, fields),
        Load(f"{base_url}/stock", body, fields),
    )
    answers = [json.loads(await load.once())["data"] for load in loads]
    if not answers[0] == answers[1] == answers[2] or len(answers[0]["batches"]["edges"]) != PAGE:
        raise RuntimeError("the answers differ")
    found = []
    for _ in range(ROUNDS):
        bare, ours, stock = [await load.rate(SECONDS) for load in loads]
        print(f"by hand {bare:.0f}  graphql {ours:.0f}  stock {stock:.0f}")
        found.append((bare, ours, stock))
    return found
