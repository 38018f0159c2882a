import asyncio
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from models import database
from models.batch import Batch
from models.bucket import Bucket
from models.database import MODELS, Session, open_database
from models.errors import Misconfigured, StoreUnavailable
from models.events import Notice
from models.ids import new_id
from models.settings import MongoSettings
from models.stores import Stores
from tests.factories import make_batch, make_bucket, store
from tests.fixtures.stores import NamespaceOfTest


async def test_a_transaction_happens_as_a_whole_or_not_at_all(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket, batch = make_bucket(namespace.id), make_batch(namespace.id)

    async def work(session: Session) -> None:
        await Bucket.get_pymongo_collection().insert_one(bucket.to_mongo(), session=session)
        await Batch.get_pymongo_collection().insert_one(batch.to_mongo(), session=session)
        raise LookupError

    with pytest.raises(LookupError):
        await stores.database.transaction(work)

    assert await namespace.scope.find(Bucket, bucket.id) is None
    assert await namespace.scope.find(Batch, batch.id) is None


async def test_transactions_that_meet_are_run_again_until_each_had_its_turn(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = make_batch(namespace.id, blocks_total=0)
    await store(batch)
    batches = Batch.get_pymongo_collection()

    async def work(session: Session) -> None:
        row = await batches.find_one({"_id": batch.id}, session=session)
        assert row is not None
        more = {"$set": {"blocks_total": row["blocks_total"] + 1}}
        await batches.update_one({"_id": batch.id}, more, session=session)

    await asyncio.gather(*(stores.database.transaction(work) for _ in range(10)))

    assert (await namespace.scope.require(Batch, batch.id)).blocks_total == 10


async def test_every_model_has_its_indexes_and_its_own_collection(stores: Stores) -> None:
    names = [model.get_pymongo_collection().name for model in MODELS if model is not Notice]
    assert len(names) == len(set(names))
    assert Notice.get_pymongo_collection().name == "events"  # one log for both kinds of entries

    for model in MODELS:
        built = await model.get_pymongo_collection().index_information()
        declared = {index.document["name"] for index in getattr(model.Settings, "indexes", [])}
        assert declared <= set(built), model.__name__


async def test_writes_are_for_a_majority_and_reads_of_it(stores: Stores) -> None:
    for model in MODELS:
        collection = model.get_pymongo_collection()
        assert collection.write_concern.document == {"w": "majority", "j": True}
        assert collection.read_concern.level == "majority"


async def test_times_come_back_as_they_were_stored(namespace: NamespaceOfTest) -> None:
    batch = make_batch(namespace.id)
    await store(batch)

    assert await namespace.scope.require(Batch, batch.id) == batch


async def test_a_server_that_does_not_answer_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def impatient(url: str, **options: Any) -> AsyncMongoClient[dict[str, Any]]:
        return AsyncMongoClient(url, **{**options, "serverSelectionTimeoutMS": 200})

    monkeypatch.setattr(database, "AsyncMongoClient", impatient)
    url = "mongodb://127.0.0.1:1"

    with pytest.raises(StoreUnavailable, match="does not answer"):
        await open_database(MongoSettings(url=url, database=new_id("sub")))


async def test_without_an_address_the_hint_names_the_setting() -> None:
    with pytest.raises(Misconfigured) as refused:
        await open_database(MongoSettings())

    assert "STRATA_MONGO__URL" in refused.value.hint
