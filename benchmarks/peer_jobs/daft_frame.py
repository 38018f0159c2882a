"""Daft: a class with the net as a batch function over a data frame, on two processes."""

from typing import Final

import daft
import numpy as np
from daft import DataType, Series
from qdrant_client import QdrantClient

from benchmarks.peer_jobs.job import DIMENSION, Ingest, Vectors, load, open_sink, put

_BATCH: Final = 256
_PROCESSES: Final = 2


@daft.cls(max_concurrency=_PROCESSES, use_process=True)
class Embed:
    """One process."""

    def __init__(self, folder: str) -> None:
        self._net = load(folder)

    @daft.method.batch(
        return_dtype=DataType.embedding(DataType.float32(), DIMENSION), batch_size=_BATCH
    )
    def vectors(self, texts: Series) -> Vectors:
        """Return the vectors of a batch."""
        return np.asarray(self._net.embed(texts.to_pylist()))


def prepare(folder: str) -> tuple[Ingest, QdrantClient]:
    """Name the function; its processes start with the job, as they do for its users."""
    client = open_sink()
    embed = Embed(folder)

    def ingest(texts: list[str]) -> None:
        frame = daft.from_pydict({"text": texts}).into_batches(_BATCH)
        frame = frame.with_column("vector", embed.vectors(frame["text"]))
        done = 0
        for part in frame.iter_partitions():
            found = part.to_pydict()
            put(client, found["text"], np.asarray(found["vector"], dtype=np.float32), done)
            done += len(found["text"])

    return ingest, client
