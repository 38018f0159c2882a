"""Steps that the end-to-end tests share: from texts to a batch, and to its end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.fixtures.stack import GraphQL, Stack
from tests.fixtures.stores import NamespaceOfTest

OPERATIONS = Path(__file__).parents[2] / "frontend_examples" / "operations"
FINAL = {"COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "CANCELED"}


def operation(name: str) -> str:
    """Return the text of an example operation."""
    return (OPERATIONS / f"{name}.graphql").read_text()


@dataclass(frozen=True)
class Draft:
    """A batch that can be submitted, and where its documents will be."""

    batch_id: str
    collection_id: str
    object_ids: list[str]
    bucket_id: str


@asynccontextmanager
async def open_api(stack: Stack, namespace: NamespaceOfTest) -> AsyncIterator[GraphQL]:
    """Talk to the API with the namespace's key."""
    async with httpx.AsyncClient(timeout=30) as client:
        yield GraphQL(client, stack.endpoint, namespace.api_key)


async def draft_texts(api: GraphQL, texts: Sequence[str], *, extractor: str = "text") -> Draft:
    """Make a bucket of texts, a collection over it, and a draft of all of them."""
    fields = [{"name": "content", "type": "TEXT"}, {"name": "number", "type": "INTEGER"}]
    created = await api.data(operation("createBucket"), name="texts", fields=fields)
    bucket_id = created["createBucket"]["bucket"]["id"]
    objects = [
        {"metadata": {"number": n}, "blobs": [{"property": "content", "text": text}]}
        for n, text in enumerate(texts)
    ]
    made = await api.data(operation("createObjects"), bucketId=bucket_id, objects=objects)
    object_ids = [row["object"]["id"] for row in made["createObjects"]["results"]]
    mapped = "text" if extractor == "text" else "content"
    collection = await api.data(
        operation("createCollection"),
        input={
            "name": "made",
            "source": {"bucketId": bucket_id},
            "extractor": {"name": extractor},
            "inputMappings": [{"input": mapped, "path": "content"}],
            "passthrough": [{"path": "number"}],
        },
    )
    drafted = await api.data(operation("createBatch"), bucketId=bucket_id, objectIds=object_ids)
    return Draft(
        drafted["createBatch"]["batch"]["id"],
        collection["createCollection"]["collection"]["id"],
        object_ids,
        bucket_id,
    )


async def read_batch(api: GraphQL, batch_id: str) -> dict[str, Any]:
    """Return a batch with everything the example query asks for."""
    data = await api.data(operation("batch"), id=batch_id)
    batch: dict[str, Any] = data["batch"]
    return batch


async def await_end(api: GraphQL, batch_id: str) -> dict[str, Any]:
    """Return a batch once it is in a terminal state."""
    while (batch := await read_batch(api, batch_id))["status"] not in FINAL:
        await asyncio.sleep(0.2)
    return batch


async def read_documents(api: GraphQL, collection_id: str) -> list[dict[str, Any]]:
    """Return every document of a collection, page by page."""
    nodes: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        data = await api.data(
            operation("documents"), collectionId=collection_id, first=100, after=after
        )
        page = data["documents"]
        nodes += [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return nodes
        after = page["pageInfo"]["endCursor"]
