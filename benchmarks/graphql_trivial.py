"""A trivial query: requests a second beside a bare Starlette route, and Strawberry's own view.

The query is answered with its limits held, its key checked, its points taken and its cost told.
"""

import asyncio
import os
import statistics
from typing import Final

from benchmarks.graphql_server import compared
from benchmarks.load import Load
from benchmarks.namespace import open_namespace
from benchmarks.stack import running_product

LIMIT: Final = 0.45  # of the bare route
ROUNDS: Final = 5
SECONDS: Final = 2.0
QUERY: Final = b'{"query":"{ __typename }"}'


def run() -> dict[str, object]:
    """Measure and return the figures."""
    with running_product() as product:
        namespace = asyncio.run(open_namespace(product, "trivial"))
        with compared(product, namespace.id) as base_url:
            rounds = asyncio.run(_measure(base_url, namespace.key))
    ratios = [ours / bare for bare, ours, _ in rounds]
    bare, ours, stock = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {
        "benchmark": "graphql_trivial",
        "value": round(ours),
        "unit": "requests/s",
        "limit": LIMIT,
        "ratio": round(statistics.median(ratios), 3),
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "bare": round(bare),
        "stock": round(stock),
        "stock_ratio": round(stock / bare, 3),
        "rounds": ROUNDS,
        "cores": os.cpu_count(),
    }


async def _measure(base_url: str, key: str) -> list[tuple[float, float, float]]:
    fields = (("content-type", "application/json"), ("authorization", f"Bearer {key}"))
    loads = (
        Load(f"{base_url}/bare"),
        Load(f"{base_url}/graphql", QUERY, fields),
        Load(f"{base_url}/stock", QUERY, fields),
    )
    for load in loads:
        assert b'"__typename":"Query"' in (await load.once()).replace(b" ", b"")
        await load.rate(SECONDS / 4)
    found = []
    for _ in range(ROUNDS):
        bare, ours, stock = [await load.rate(SECONDS) for load in loads]
        print(f"bare {bare:.0f}  graphql {ours:.0f}  stock {stock:.0f}")
        found.append((bare, ours, stock))
    return found
