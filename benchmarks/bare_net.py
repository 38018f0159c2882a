"""How many texts a second the default net alone can do: the limit of every figure about text.

No store, no queue, no Ray: processes of one thread each, all texts known, sorted and batched at
their best. `value` is a process a core; `limit` is that many times one process alone, so `ratio`
says what the cores lose by sharing a cache and memory.
"""

import ast
import multiprocessing
import os
import platform
import random
import statistics
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final

import numpy as np
import psutil

from engine.nets import DEFAULT_NET, TOKEN_BUDGET, Net, load_net

TEXTS: Final = 1_200
ROUNDS: Final = 3
PROCESSES: Final = 2
SEED: Final = 7
# Lengths in words, log-normal: a mean of 28 tokens and one text in a hundred above 160.
MU, SIGMA, MOST_WORDS = 2.35, 0.95, 170

_loaded: dict[str, tuple[Net, Barrier]] = {}


@dataclass(frozen=True)
class Turn:
    """One process's part of one measurement; times are on the machine's clock."""

    start: float
    end: float
    cpu: float
    memory_mb: float


@dataclass(frozen=True)
class Rate:
    """One measurement of some processes together."""

    texts_per_second: float
    texts_per_cpu_second: float
    memory_mb: float


def run() -> dict[str, object]:
    """Measure one process and a process a core in turns, and return the medians."""
    texts = mixed_texts(TEXTS)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        load_net(DEFAULT_NET, cache=Path(folder))
        first_load = time.perf_counter() - started
        rates = measure(texts, cache=Path(folder), processes=(1, PROCESSES), rounds=ROUNDS)
    one, many = (_median(rates[count]) for count in (1, PROCESSES))
    return {
        "benchmark": "bare_net",
        "value": many,
        "unit": "texts/s",
        "limit": PROCESSES * one,
        "ratio": round(many / (PROCESSES * one), 3),
        "one_process": one,
        "spread": {
            count: [round(rate.texts_per_second, 1) for rate in rates[count]] for count in rates
        },
        "texts_per_cpu_second": round(max(rate.texts_per_cpu_second for rate in rates[1]), 1),
        "memory_mb": round(max(rate.memory_mb for rate in rates[PROCESSES])),
        "first_load_s": round(first_load, 2),
        "texts": len(texts),
        "token_budget": TOKEN_BUDGET,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def measure(
    texts: Sequence[str], *, cache: Path, processes: Sequence[int], rounds: int
) -> dict[int, list[Rate]]:
    """Return the rates of each number of processes, measured in turns, loading not counted."""
    pools = {count: _pool(count, cache) for count in processes}
    rates: dict[int, list[Rate]] = {count: [] for count in processes}
    try:
        for turn in range(rounds + 1):
            for count, pool in pools.items():
                rate = _rate(pool, count, texts)
                if turn > 0:  # the first turn loads the nets and warms them
                    rates[count].append(rate)
    finally:
        for pool in pools.values():
            pool.shutdown()
    return rates


def mixed_texts(count: int) -> list[str]:
    """Return runs of words from the standard library's docstrings, most short and some long."""
    chance, words = random.Random(SEED), _words()
    texts = []
    for _ in range(count):
        length = max(1, min(MOST_WORDS, int(chance.lognormvariate(MU, SIGMA))))
        start = chance.randrange(len(words) - length)
        texts.append(" ".join(words[start : start + length]))
    return texts


def _words() -> list[str]:
    words: list[str] = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                words += (ast.get_docstring(node) or "").split()
    return words


def _pool(count: int, cache: Path) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(count)
    return ProcessPoolExecutor(count, context, initializer=_load, initargs=(cache, together))


def _load(cache: Path, together: Barrier) -> None:
    _loaded["net"] = load_net(DEFAULT_NET, cache=cache), together


def _median(rates: Sequence[Rate]) -> float:
    return round(statistics.median(rate.texts_per_second for rate in rates), 1)


def _rate(pool: ProcessPoolExecutor, count: int, texts: Sequence[str]) -> Rate:
    shards = [texts[shard::count] for shard in range(count)]
    turns = list(pool.map(_embed, shards))
    wall = max(turn.end for turn in turns) - min(turn.start for turn in turns)
    return Rate(
        texts_per_second=len(texts) / wall,
        texts_per_cpu_second=len(texts) / sum(turn.cpu for turn in turns),
        memory_mb=sum(turn.memory_mb for turn in turns),
    )


def _embed(texts: Sequence[str]) -> Turn:
    """Embed one shard as soon as every process is ready to."""
    net, together = _loaded["net"]
    together.wait(timeout=60)  # also keeps one process from taking two shards
    start, cpu = time.monotonic(), time.process_time()
    vectors = net.embed(texts)
    end, cpu = time.monotonic(), time.process_time() - cpu
    lengths = np.linalg.norm(vectors, axis=1)
    if vectors.shape != (len(texts), net.dimension) or not np.allclose(lengths, 1, atol=1e-4):
        raise ValueError("wrong vectors: the rate means nothing")
    # Resident now: the system's peak of a spawned process is inherited from its parent.
    memory = psutil.Process().memory_info().rss / 2**20
    return Turn(start=start, end=end, cpu=cpu, memory_mb=memory)
