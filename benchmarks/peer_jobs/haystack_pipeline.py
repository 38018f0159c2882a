"""Haystack: an indexing pipeline of an embedder and a writer into Qdrant's store."""

from dataclasses import replace
from typing import Final

from haystack import Document, Pipeline, component
from haystack.components.writers import DocumentWriter
from haystack_integrations.document_stores.qdrant import QdrantDocumentStore
from qdrant_client import QdrantClient

from benchmarks.peer_jobs.job import COLLECTION, DIMENSION, Ingest, load

_BATCH: Final = 256


@component
class Embedder:
    """The net, as Haystack wants it."""

    def __init__(self, folder: str) -> None:
        self._net = load(folder)

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Give each document its vector."""
        vectors = self._net.embed([one.content or "" for one in documents])
        pairs = zip(documents, vectors, strict=True)
        return {"documents": [replace(one, embedding=vector.tolist()) for one, vector in pairs]}


def prepare(folder: str) -> tuple[Ingest, QdrantClient]:
    """Make the pipeline."""
    store = QdrantDocumentStore(":memory:", index=COLLECTION, embedding_dim=DIMENSION)
    store.count_documents()  # opens its client
    pipeline = Pipeline()
    pipeline.add_component("embedder", Embedder(folder))
    pipeline.add_component("writer", DocumentWriter(store))
    pipeline.connect("embedder.documents", "writer.documents")

    def ingest(texts: list[str]) -> None:
        for at in range(0, len(texts), _BATCH):
            part = enumerate(texts[at : at + _BATCH], at)  # the same text twice is two documents
            documents = [Document(id=str(number), content=text) for number, text in part]
            pipeline.run({"embedder": {"documents": documents}})

    return ingest, store._client
