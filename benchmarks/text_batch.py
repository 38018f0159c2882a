"""A batch of texts: what is left of the bare net's rate when everything around it is there too.

Texts a second from the call of submitBatch to the frame that says COMPLETED, with every document in
both stores. `limit` is the bare net at its best on the same cores, in turns with the batches. Both
are drawn into `docs/text_batch.svg`.
"""

import asyncio
import statistics
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.bare_net import PROCESSES, measure, mixed_texts
from benchmarks.library import Library, open_library
from benchmarks.plot import draw_rates
from benchmarks.stack import Product, running_product
from benchmarks.usage import Usage, machine
from engine.nets import DEFAULT_NET, load_net
from models.bucket import Bucket

GOAL: Final = 0.85
PLOT: Final = Path(__file__).parent.parent / "docs" / "text_batch.svg"
_CHECKED: Final = 5


def run(texts: int = 5000, rounds: int = 3) -> dict[str, object]:
    """Measure and return the figures."""
    chosen = mixed_texts(texts)
    with running_product() as product, tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        batches, bare, usage, submits = asyncio.run(_measure(product, chosen, rounds, cache))
    value, limit = statistics.median(batches), statistics.median(bare)
    PLOT.write_text(
        draw_rates(
            f"Texts a second: {value / limit:.3f} of the bare net (goal {GOAL})",
            {"bare net": bare, "whole batch": batches},
            line=("goal", GOAL * limit),
        )
    )
    return {
        "benchmark": "text_batch",
        "value": round(value, 1),
        "unit": "texts/s",
        "limit": round(limit, 1),
        "ratio": round(value / limit, 3),
        "goal": GOAL,
        "spread": {
            "batch": [round(one, 1) for one in batches],
            "bare_net": [round(one, 1) for one in bare],
        },
        "submit_seconds": round(statistics.median(submits), 3),
        "texts": texts,
        "cpu_seconds": usage.cpu_seconds,
        "peak_mb": round(usage.peak_mb),
        "plot": "docs/text_batch.svg",
        **machine(),
    }


async def _measure(
    product: Product, texts: list[str], rounds: int, cache: Path
) -> tuple[list[float], list[float], Usage, list[float]]:
    async with open_library(product) as library:
        bucket = await library.bucket()
        ids = await library.texts(bucket, texts)
        await run_batch(library, bucket, ids[:500], texts)  # loads the nets
        batches, bare, submits = [], [], []
        for _ in range(rounds):
            bare.append(_bare(texts, cache))
            with Usage(product.process) as usage:
                answered, seconds = await run_batch(library, bucket, ids, texts)
            batches.append(len(texts) / seconds)
            submits.append(answered)
    return batches, bare, usage, submits


def _bare(texts: list[str], cache: Path) -> float:
    rates = measure(texts, cache=cache, processes=(PROCESSES,), rounds=1)
    return rates[PROCESSES][0].texts_per_second


async def run_batch(
    library: Library, bucket: Bucket, ids: list[str], texts: list[str]
) -> tuple[float, float]:
    """Run a batch into a collection of its own; return the seconds to the answer and to the end."""
    collection = await library.text_collection(bucket)
    try:
        batch_id = await library.draft(bucket, ids)
        seconds = await library.client.run_to_end(batch_id)
        if (written := await library.documents(collection)) < len(ids):
            raise RuntimeError(f"{written} documents of {len(ids)}: the rate means nothing")
        await _require_vectors(library, collection.id, texts[:_CHECKED])
    finally:
        await library.forget(collection)
    return seconds


async def _require_vectors(library: Library, collection_id: str, texts: list[str]) -> None:
    """Look for some texts by the bare net's own vectors: each has to find itself."""
    net = load_net(DEFAULT_NET, cache=library.stores.settings.cache)
    for text, vector in zip(texts, net.embed(texts), strict=True):
        hits = await library.stores.vectors.search(
            collection_id, np.asarray(vector).tolist(), using="embedding", limit=1
        )
        if not hits or hits[0].score < 0.999:
            raise RuntimeError(f"wrong vectors: {text[:40]!r} does not find itself")
