"""LlamaIndex: an ingestion pipeline with an embedding of batches of 128 and Qdrant's store."""

from typing import Any, Final

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from pydantic import PrivateAttr
from qdrant_client import QdrantClient

from benchmarks.peer_jobs.job import COLLECTION, Ingest, load

_BATCH: Final = 128


class Embedding(BaseEmbedding):
    """The net, as LlamaIndex wants it."""

    _net: Any = PrivateAttr()

    def __init__(self, folder: str) -> None:
        super().__init__(model_name="default", embed_batch_size=_BATCH)
        self._net = load(folder)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [vector.tolist() for vector in self._net.embed(texts)]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def prepare(folder: str) -> tuple[Ingest, QdrantClient]:
    """Make the pipeline."""
    client = QdrantClient(":memory:")
    store = QdrantVectorStore(collection_name=COLLECTION, client=client)
    pipeline = IngestionPipeline(transformations=[Embedding(folder)], vector_store=store)

    def ingest(texts: list[str]) -> None:
        pipeline.run(nodes=[TextNode(text=text) for text in texts])

    return ingest, client
