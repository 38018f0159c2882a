"""Ray Data: `map_batches` over two actors, each with the net."""

from typing import Any, Final

import numpy as np
import ray
from qdrant_client import QdrantClient

from benchmarks.peer_jobs.job import Ingest, load, open_sink, put

_BATCH: Final = 256
_ACTORS: Final = 2


class Embed:
    """One actor."""

    def __init__(self, folder: str) -> None:
        self._net = load(folder)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Add the vectors of a batch."""
        return {**batch, "vector": self._net.embed([str(text) for text in batch["text"]])}


def prepare(folder: str) -> tuple[Ingest, QdrantClient]:
    """Start a cluster; its actors start with the job, as they do for its users."""
    ray.init(num_cpus=_ACTORS, include_dashboard=False, log_to_driver=False, logging_level=50)
    ray.data.DataContext.get_current().enable_progress_bars = False
    client = open_sink()

    def ingest(texts: list[str]) -> None:
        rows = ray.data.from_items([{"text": text} for text in texts], override_num_blocks=8)
        vectors = rows.map_batches(
            Embed, fn_constructor_args=(folder,), batch_size=_BATCH, concurrency=_ACTORS, num_cpus=1
        )
        done = 0
        for batch in vectors.iter_batches(batch_size=_BATCH, batch_format="numpy"):
            put(client, list(batch["text"]), np.stack([*batch["vector"]]), done)
            done += len(batch["text"])

    return ingest, client
