"""Growth: seconds of a batch of small objects at sizes over two orders of magnitude.

`value` is the slope of the line through the logarithms, with its standard error: 1 is linear. The
points, the line and the limit are drawn into `docs/growth.svg`.
"""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.library import open_library
from benchmarks.passthrough_batch import run_batch
from benchmarks.plot import COLOR, GRID, LIMIT_COLOR, Frame
from benchmarks.stack import Product, running_product
from benchmarks.usage import machine

LIMIT: Final = 1.05
PLOT: Final = Path(__file__).parent.parent / "docs" / "growth.svg"


def run(sizes: tuple[int, ...] = (1_000, 10_000, 100_000), rounds: int = 3) -> dict[str, object]:
    """Measure, draw, and return the figures."""
    with running_product() as product:
        points = asyncio.run(_measure(product, sorted(sizes), rounds))
    slope, error, start = fit(points)
    PLOT.write_text(draw(points, slope, error, start))
    return {
        "benchmark": "growth",
        "value": round(slope, 3),
        "unit": "log-log slope",
        "error": round(error, 3),
        "limit": LIMIT,
        "ratio": round(slope / LIMIT, 3),
        "seconds": {
            size: [round(seconds, 2) for one, seconds in points if one == size] for size in sizes
        },
        "plot": "docs/growth.svg",
        **machine(),
    }


async def _measure(product: Product, sizes: Sequence[int], rounds: int) -> list[tuple[int, float]]:
    points: list[tuple[int, float]] = []
    async with open_library(product) as library:
        bucket = await library.bucket()
        ids = await library.rows(bucket, max(sizes))
        await run_batch(library, bucket, ids[: min(sizes)])  # warms the pool
        for _ in range(rounds):
            points += [(size, await run_batch(library, bucket, ids[:size])) for size in sizes]
    return points


def fit(points: Sequence[tuple[int, float]]) -> tuple[float, float, float]:
    """Return slope, its standard error, and where the line of the logarithms begins."""
    x = np.log10([size for size, _ in points])
    y = np.log10([seconds for _, seconds in points])
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    start = float(y.mean() - slope * x.mean())
    rest = float(((y - start - slope * x) ** 2).sum())
    return slope, math.sqrt(rest / max(len(points) - 2, 1) / spread), start


def draw(points: Sequence[tuple[int, float]], slope: float, error: float, start: float) -> str:
    """Return points, line and limit as SVG, both axes logarithmic.

    The limit begins where the line does: times above it grow worse than they may.
    """
    sizes, times = [size for size, _ in points], [seconds for _, seconds in points]
    first, last = math.log10(min(sizes)), math.log10(max(sizes))
    begin = start + slope * first
    limit = begin + LIMIT * (last - first)
    x = (math.floor(first), math.ceil(last))
    y = (math.floor(math.log10(min(times))), math.ceil(max(math.log10(max(times)), limit)))
    frame = Frame(x, y)
    for power in range(x[0], x[1] + 1):
        frame.line((power, y[0]), (power, y[1]), GRID)
        frame.label_below(power, f"{10**power:,}")
    for power in range(y[0], y[1] + 1):
        frame.line((x[0], power), (x[1], power), GRID)
        frame.label_beside(power, f"{10.0**power:g} s")
    frame.line((first, begin), (last, limit), LIMIT_COLOR, dashed=True)
    frame.label_at((last, limit), f"limit {LIMIT}", LIMIT_COLOR)
    frame.line((first, begin), (last, start + slope * last), COLOR)
    for size, seconds in points:
        frame.dot((math.log10(size), math.log10(seconds)))
    return frame.svg(
        f"Seconds of a batch by its rows: slope {slope:.3f} \u00b1 {error:.3f} (1 is linear)"
    )
