"""Loaders: one database call for all items of a kind that an operation asks for."""

from typing import TypeVar

from strawberry.dataloader import DataLoader

from models.batch import Batch
from models.bucket import Bucket
from models.collection import Collection
from models.document import Document
from models.object import Object
from models.scope import Scope
from models.stored import Namespaced

M = TypeVar("M", bound=Namespaced)


class Loaders:
    """Loaders of one operation, named WhatByKey."""

    def __init__(self, scope: Scope) -> None:
        self.bucket_by_id = _by_id(scope, Bucket)
        self.collection_by_id = _by_id(scope, Collection)
        self.batch_by_id = _by_id(scope, Batch)
        self.object_by_id = _by_id(scope, Object)
        self.document_by_id = _by_id(scope, Document)


def _by_id(scope: Scope, model: type[M]) -> DataLoader[str, M | None]:
    async def load(ids: list[str]) -> list[M | None]:
        found = await scope.find_many(model, ids)
        return [found.get(item_id) for item_id in ids]

    return DataLoader(load_fn=load)
