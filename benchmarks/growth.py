"""Growth: seconds of a batch of small objects at sizes over two orders of magnitude.

`value` is the slope of the line through the logarithms, with its standard error: 1 is linear. The
points and the line are drawn into `docs/growth.svg`.
"""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.library import open_library
from benchmarks.passthrough_batch import run_batch
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


_WIDTH, _HEIGHT, _EDGE = 640, 420, 60


def draw(points: Sequence[tuple[int, float]], slope: float, error: float, start: float) -> str:
    """Return the points and the line as SVG, both axes logarithmic."""
    sizes, times = [size for size, _ in points], [seconds for _, seconds in points]
    left, right = math.floor(math.log10(min(sizes))), math.ceil(math.log10(max(sizes)))
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _EDGE + (x - left) / (right - left) * (_WIDTH - 2 * _EDGE),
            _HEIGHT - _EDGE - (y - low) / (high - low) * (_HEIGHT - 2 * _EDGE),
        )

    parts = [_line(place(x, low), place(x, high), "#ddd") for x in range(left, right + 1)]
    parts += [_line(place(left, y), place(right, y), "#ddd") for y in range(low, high + 1)]
    parts += [_label(place(x, low), f"{10**x:,}", below=True) for x in range(left, right + 1)]
    parts += [_label(place(left, y), f"{10.0**y:g} s", below=False) for y in range(low, high + 1)]
    ends = [(x, start + slope * x) for x in (math.log10(min(sizes)), math.log10(max(sizes)))]
    parts.append(_line(place(*ends[0]), place(*ends[1]), "#2563eb"))
    for size, seconds in points:
        x, y = place(math.log10(size), math.log10(seconds))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#2563eb"/>')
    title = f"Seconds of a batch by its rows: slope {slope:.3f} \u00b1 {error:.3f} (1 is linear)"
    parts.append(f'<text x="{_EDGE}" y="{_EDGE / 2}" font-size="15">{title}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _line(one: tuple[float, float], other: tuple[float, float], color: str) -> str:
    (x1, y1), (x2, y2) = one, other
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"/>'


def _label(at: tuple[float, float], text: str, *, below: bool) -> str:
    x, y = (at[0], at[1] + 18) if below else (at[0] - 6, at[1] + 4)
    anchor = "middle" if below else "end"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
