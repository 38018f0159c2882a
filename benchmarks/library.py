"""Namespaces with objects, collections and drafts for benchmarks, made as the API makes them.

Preparing is not measured, so it goes past HTTP: the workers' own functions over the same stores.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from benchmarks.client import Client
from benchmarks.stack import Product
from models.bucket import Bucket
from models.collection import Collection, InputMapping, Passthrough, Source
from models.document import Document
from models.ids import new_id
from models.object import Blob, Object
from models.scope import Scope
from models.settings import load_settings
from models.stores import Stores, open_stores
from workers.batches import add_objects, open_batch
from workers.collections import CollectionDraft, open_collection
from workers.intake import ObjectDraft, open_bucket, register_objects
from workers.namespaces import open_namespace

_CALL: Final = 1000  # objects of one call


@dataclass(frozen=True)
class Library:
    """A namespace of a running product, from inside and through its API."""

    stores: Stores
    scope: Scope
    client: Client

    async def bucket(self) -> Bucket:
        """Open a bucket of whose objects nothing is known."""
        return await open_bucket(self.scope, new_id("bkt"), description="", fields=[])

    async def texts(self, bucket: Bucket, texts: Sequence[str]) -> list[str]:
        """Register an object for each text; return their ids."""
        drafts = [
            ObjectDraft(None, {"number": number}, [Blob(property="content", text=text)])
            for number, text in enumerate(texts)
        ]
        return await self._register(bucket, drafts)

    async def rows(self, bucket: Bucket, count: int) -> list[str]:
        """Register small objects; return their ids."""
        drafts = [
            ObjectDraft(None, {"number": n, "title": f"object {n}", "even": n % 2 == 0}, [])
            for n in range(count)
        ]
        return await self._register(bucket, drafts)

    async def collection(self, bucket: Bucket, extractor: str, **values: Any) -> Collection:
        """Create a collection over a bucket."""
        usual: dict[str, Any] = {
            "name": new_id("col"),
            "description": "",
            "source": Source(bucket_id=bucket.id),
            "extractor": extractor,
            "version": "v1",
            "parameters": None,
            "input_mappings": [],
            "passthrough": [],
        }
        return await open_collection(
            self.scope, CollectionDraft(**{**usual, **values}), settings=self.stores.settings
        )

    async def text_collection(self, bucket: Bucket) -> Collection:
        """Create a collection of text@v1 over the texts."""
        return await self.collection(
            bucket, "text", input_mappings=[InputMapping(input="text", path="content")]
        )

    async def kept_collection(self, bucket: Bucket) -> Collection:
        """Create a collection of passthrough@v1 over the rows."""
        return await self.collection(
            bucket,
            "passthrough",
            passthrough=[
                Passthrough(path=name, target=name) for name in ("number", "title", "even")
            ],
        )

    async def draft(self, bucket: Bucket, object_ids: Sequence[str]) -> str:
        """Create a draft of objects; return its id."""
        batch = await open_batch(
            self.stores, self.scope, bucket_id=bucket.id, name="", metadata={}, object_ids=[]
        )
        for start in range(0, len(object_ids), _CALL):
            part = list(object_ids[start : start + _CALL])
            await add_objects(self.stores, self.scope, batch.id, part)
        return batch.id

    async def forget(self, collection: Collection) -> None:
        """Remove a collection and what it holds, so that no later batch fills it too."""
        await Collection.get_pymongo_collection().delete_one({"_id": collection.id})
        await Document.get_pymongo_collection().delete_many({"collection_id": collection.id})
        await self.stores.vectors.drop(collection.id)

    async def documents(self, collection: Collection) -> int:
        """Return how many documents a collection holds."""
        return (await self.scope.require(Collection, collection.id)).document_count

    async def _register(self, bucket: Bucket, drafts: Sequence[ObjectDraft]) -> list[str]:
        ids: list[str] = []
        for start in range(0, len(drafts), _CALL):
            part = drafts[start : start + _CALL]
            made = await register_objects(self.stores, self.scope, bucket.id, part)
            ids += [one.id for one in made if isinstance(one, Object)]
        if len(ids) != len(drafts):
            raise RuntimeError(f"{len(drafts) - len(ids)} objects were refused")
        return ids


@asynccontextmanager
async def open_library(product: Product) -> AsyncIterator[Library]:
    """Open a fresh namespace of a running product."""
    async with (
        open_stores(load_settings(product.data)) as stores,
        httpx.AsyncClient(timeout=600) as http,
    ):
        namespace, key = await open_namespace(stores, new_id("ns"))
        yield Library(stores, Scope(namespace.id), Client(product, http, key))
