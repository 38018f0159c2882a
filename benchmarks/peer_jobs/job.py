"""One peer's run in a process of its own: `python -m benchmarks.peer_jobs.job NAME`.

Reads texts as JSON from standard input, embeds all of them with the net that Strata uses, sorted by
length beforehand, into a collection of qdrant-client's own store in memory, and prints seconds as
JSON. The net is loaded and everything imported before the clock starts, where the peer allows it.
"""

import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from qdrant_client import QdrantClient, models

from engine.nets import DEFAULT_NET, Net, load_net, net_dimension

Vectors = npt.NDArray[np.float32]
Ingest = Callable[[list[str]], None]
Prepare = Callable[[str], tuple[Ingest, QdrantClient]]
COLLECTION: Final = "texts"
DIMENSION: Final = net_dimension(DEFAULT_NET)
_PORTION: Final = 256
_CHECKED: Final = 5


def load(folder: str) -> Net:
    """Return the net, on one thread; a folder keeps what it is compiled to."""
    return load_net(DEFAULT_NET, cache=Path(folder), threads=1)


def open_sink() -> QdrantClient:
    """Return a store in this process, for a peer that has none of its own."""
    client = QdrantClient(":memory:")
    size = models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
    client.create_collection(COLLECTION, vectors_config=size)
    return client


def put(client: QdrantClient, texts: Sequence[str], vectors: Vectors, start: int) -> None:
    """Write some texts with their vectors, numbered from `start`."""
    for at in range(0, len(texts), _PORTION):
        part = slice(at, at + _PORTION)
        client.upsert(
            COLLECTION,
            models.Batch(
                ids=list(range(start + at, start + at + len(texts[part]))),
                vectors=vectors[part].tolist(),
                payloads=[{"text": text} for text in texts[part]],
            ),
        )


def _require(client: QdrantClient, texts: list[str], folder: str) -> None:
    """Refuse a run whose output is wrong: every text is there, and some find themselves."""
    if (found := client.count(COLLECTION).count) != len(texts):
        raise RuntimeError(f"{found} points of {len(texts)}: the rate means nothing")
    chosen = texts[:_CHECKED]
    for text, vector in zip(chosen, load(folder).embed(chosen), strict=True):
        (hit,) = client.query_points(COLLECTION, query=vector.tolist(), limit=1).points
        if hit.score < 0.999:
            raise RuntimeError(f"wrong vectors: {text[:40]!r} does not find itself")


def main() -> None:
    """Run the peer that the command line names."""
    texts = sorted(json.load(sys.stdin), key=len)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        prepare: Prepare = importlib.import_module(f"benchmarks.peer_jobs.{sys.argv[1]}").prepare
        ingest, client = prepare(folder)
        started = time.perf_counter()
        ingest(texts)
        ended = time.perf_counter()
        _require(client, texts, folder)
    print(json.dumps({"start_seconds": started - began, "seconds": ended - started}), flush=True)


if __name__ == "__main__":
    main()
