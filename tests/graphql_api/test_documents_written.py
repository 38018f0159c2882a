"""The subscription documentsWritten: as it is, after each commit, until the collection is gone."""

import pytest

from graphql_api.collections import following
from models.collection import Collection
from models.stores import Stores
from tests.factories import make_bucket, make_collection, store
from tests.fixtures.api import RunningApi
from tests.fixtures.stores import NamespaceOfTest

FOLLOW = """subscription($id: ID!) {
  documentsWritten(collectionId: $id) { documentCount indexSignature } }"""


async def test_each_commit_is_told_and_the_end_too(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_LOOK_SECONDS", 600)
    collection = make_collection(make_bucket(namespace.id))
    await store(collection)
    rows = Collection.get_pymongo_collection()

    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(FOLLOW, {"id": collection.id})
        first = await socket.next()
        # What a block's commit does, and the doorbell after it.
        await rows.update_one(
            {"_id": collection.id}, {"$inc": {"document_count": 2, "revision": 1}}
        )
        await stores.bus.announce(namespace.id, "btc_1", 5)
        second = await socket.next()  # woken by the doorbell, not by a look
        await rows.delete_one({"_id": collection.id})
        await stores.bus.announce(namespace.id, "btc_1", 6)
        end = await socket.receive()

    assert (first["documentCount"], second["documentCount"]) == (0, 2)
    assert first["indexSignature"] != second["indexSignature"]
    assert end["type"] == "complete"


async def test_an_unknown_collection_cannot_be_followed(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(FOLLOW, {"id": "col_nowhere"})
        message = await socket.receive()

    (error,) = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
    assert error["extensions"]["reason"] == "NOT_FOUND"
