"""Strata beside its peers on one job: texts through one net into a store, with the limit drawn in.

Texts a second. Every peer is handed Strata's own net and texts sorted by length, and writes into
qdrant-client's store in memory. Strata does more: its batch goes from submitBatch to COMPLETED,
with artifacts on S3 and documents in MongoDB and Qdrant. Fresh processes and a shuffled order in
each round; the limit is the bare net, a process a core. Drawn into `docs/peers.svg`.
"""

import asyncio
import json
import os
import random
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.bare_net import PROCESSES, measure, mixed_texts
from benchmarks.library import open_library
from benchmarks.plot import draw_rates
from benchmarks.stack import Product, running_product
from benchmarks.text_batch import run_batch
from benchmarks.usage import machine

ROOT: Final = Path(__file__).parent.parent
PLOT: Final = ROOT / "docs" / "peers.svg"
PYTHON: Final = ROOT / "benchmarks" / "peer_jobs" / ".venv" / "bin" / "python"
JOBS: Final = {
    "Daft": "daft_frame",
    "Ray Data": "ray_data",
    "LlamaIndex": "llama_index",
    "Haystack": "haystack_pipeline",
}
_WARMING: Final = 500
_JOB_SECONDS: Final = 600


def run(texts: int = 5000, rounds: int = 3) -> dict[str, object]:
    """Measure and return the figures."""
    if not PYTHON.exists():
        raise SystemExit("The peers are not installed: run `make peers`.")
    chosen = mixed_texts(texts)
    rates: dict[str, list[float]] = {name: [] for name in ("Strata", *JOBS)}
    bare = []
    for turn in range(rounds):
        bare.append(_bare(chosen))
        for name in random.Random(turn).sample(list(rates), len(rates)):
            seconds = _strata(chosen) if name == "Strata" else _peer(JOBS[name], chosen)
            rates[name].append(texts / seconds)
            print(f"round {turn + 1}: {name} {rates[name][-1]:.0f} texts/s", flush=True)
    return _report(rates, statistics.median(bare), texts)


def _report(rates: dict[str, list[float]], limit: float, texts: int) -> dict[str, object]:
    medians = {name: statistics.median(found) for name, found in rates.items()}
    ours = medians["Strata"]
    best = max(JOBS, key=lambda name: medians[name])
    title = f"Texts a second: {ours / medians[best]:.2f} times the best peer, {best}"
    PLOT.write_text(draw_rates(title, rates, line=("bare net", limit)))
    return {
        "benchmark": "peers",
        "value": round(ours, 1),
        "unit": "texts/s",
        "limit": round(limit, 1),
        "ratio": round(ours / limit, 3),
        "of_limit": {name: round(found / limit, 3) for name, found in medians.items()},
        "best_peer": best,
        "of_best_peer": round(ours / medians[best], 3),
        "spread": {name: [round(one, 1) for one in found] for name, found in rates.items()},
        "texts": texts,
        "plot": "docs/peers.svg",
        **machine(),
    }


def _bare(texts: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(texts, cache=Path(folder), processes=(PROCESSES,), rounds=1)
    return rates[PROCESSES][0].texts_per_second


def _strata(texts: list[str]) -> float:
    with running_product() as product:
        return asyncio.run(_batch_seconds(product, texts))


async def _batch_seconds(product: Product, texts: list[str]) -> float:
    async with open_library(product) as library:
        bucket = await library.bucket()
        ids = await library.texts(bucket, texts)
        await run_batch(library, bucket, ids[:_WARMING], texts)
        _, seconds = await run_batch(library, bucket, ids, texts)
    return seconds


def _peer(job: str, texts: list[str]) -> float:
    done = subprocess.run(
        [PYTHON, "-m", "benchmarks.peer_jobs.job", job],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        timeout=_JOB_SECONDS,
    )
    if done.returncode:
        raise RuntimeError(f"{job} ended with code {done.returncode}: {done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])
