"""What Strata needs of MongoDB; on the local server, or on the one that STRATA_MONGO__URL names."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient, IndexModel, ReturnDocument, WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from models.embedded.servers import EmbeddedServers

Document = dict[str, Any]
Client = AsyncMongoClient[Document]
CLIENTS = 8


@pytest.fixture(scope="module")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("STRATA_MONGO__URL")
    with EmbeddedServers(
        tmp_path_factory.mktemp("mongo"),
        mongo_url=given,
        redis_url="",
        qdrant_url="",
        s3_url="",
        ray=False,
    ) as servers:
        yield servers.start().mongo_url


@pytest.fixture
async def client(mongo_url: str) -> AsyncIterator[Client]:
    async with AsyncMongoClient[Document](mongo_url, tz_aware=True) as client:
        yield client


@pytest.fixture
async def things(client: Client) -> AsyncIterator[AsyncCollection[Document]]:
    database = client[f"contract_{uuid.uuid4().hex}"]
    await database.create_collection("things")
    yield database["things"]
    await client.drop_database(database.name)


@pytest.fixture
async def clients(
    mongo_url: str, things: AsyncCollection[Document]
) -> AsyncIterator[list[AsyncCollection[Document]]]:
    """The same collection as eight processes would see it."""
    opened = [AsyncMongoClient[Document](mongo_url, tz_aware=True) for _ in range(CLIENTS)]
    yield [client[things.database.name][things.name] for client in opened]
    for client in opened:
        await client.close()


async def test_is_a_replica_set_with_sessions(client: Client) -> None:
    hello = await client.admin.command("hello")

    assert hello["setName"]
    assert hello["logicalSessionTimeoutMinutes"] > 0


async def test_unique_index_names_key_and_value(things: AsyncCollection[Document]) -> None:
    await things.create_index("name", unique=True)
    await things.insert_one({"name": "a"})

    with pytest.raises(DuplicateKeyError) as refused:
        await things.insert_one({"name": "a"})

    assert refused.value.details is not None
    assert refused.value.details["keyPattern"] == {"name": 1}
    assert refused.value.details["keyValue"] == {"name": "a"}


async def test_compound_unique_index_needs_all_fields(things: AsyncCollection[Document]) -> None:
    await things.create_index([("batch", 1), ("sequence", 1)], unique=True)

    await things.insert_many([{"batch": "a", "sequence": 1}, {"batch": "b", "sequence": 1}])

    with pytest.raises(DuplicateKeyError):
        await things.insert_one({"batch": "a", "sequence": 1})


async def test_partial_unique_index_counts_matching_alone(
    things: AsyncCollection[Document],
) -> None:
    await things.create_index("name", unique=True, partialFilterExpression={"live": True})
    await things.insert_many([{"name": "a", "live": False}, {"name": "a", "live": False}])
    await things.insert_one({"name": "a", "live": True})

    with pytest.raises(DuplicateKeyError):
        await things.update_one({"live": False}, {"$set": {"live": True}})


async def test_unordered_inserts_leave_neighbours_alone(things: AsyncCollection[Document]) -> None:
    await things.insert_one({"_id": 2})

    with pytest.raises(BulkWriteError) as refused:
        await things.insert_many([{"_id": n} for n in range(5)], ordered=False)

    assert [(e["index"], e["code"]) for e in refused.value.details["writeErrors"]] == [(2, 11000)]
    assert await things.count_documents({}) == 5


async def test_compare_and_set_has_one_winner(clients: list[AsyncCollection[Document]]) -> None:
    for round_number in range(25):
        await clients[0].insert_one({"_id": round_number, "status": "DRAFT"})
        move = ({"_id": round_number, "status": "DRAFT"}, {"$set": {"status": "QUEUED"}})

        results = await asyncio.gather(*(client.update_one(*move) for client in clients))

        assert sum(result.modified_count for result in results) == 1


async def test_claim_by_server_time_gives_each_once(
    clients: list[AsyncCollection[Document]],
) -> None:
    await clients[0].insert_many([{"_id": n, "epoch": 0} for n in range(80)])

    claimed = await asyncio.gather(*(_claim_until_none_is_free(client) for client in clients))

    assert sorted(block["_id"] for blocks in claimed for block in blocks) == list(range(80))
    assert {block["epoch"] for blocks in claimed for block in blocks} == {1}


async def _claim_until_none_is_free(blocks: AsyncCollection[Document]) -> list[Document]:
    free = {
        "$expr": {"$lt": [{"$ifNull": ["$lease_until", datetime(1970, 1, 1, tzinfo=UTC)]}, "$$NOW"]}
    }
    lease = {
        "epoch": {"$add": ["$epoch", 1]},
        "lease_until": {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": 30}},
    }
    claimed = []
    while block := await blocks.find_one_and_update(
        free, [{"$set": lease}], return_document=ReturnDocument.AFTER
    ):
        claimed.append(block)
    return claimed


async def test_lease_is_measured_by_server_time(things: AsyncCollection[Document]) -> None:
    await things.insert_one({"_id": 1, "epoch": 0})

    [block] = await _claim_until_none_is_free(things)

    left = block["lease_until"] - datetime.now(UTC)
    assert timedelta(seconds=20) < left < timedelta(seconds=40)


async def test_counters_lose_nothing(clients: list[AsyncCollection[Document]]) -> None:
    raised = [
        client.update_one({"_id": "n"}, {"$inc": {"n": 1}}, upsert=True)
        for client in clients
        for _ in range(20)
    ]

    await asyncio.gather(*raised)

    assert await clients[0].find_one() == {"_id": "n", "n": len(raised)}


async def test_concurrent_upserts_make_one_document(
    clients: list[AsyncCollection[Document]],
) -> None:
    await clients[0].create_index("key", unique=True)

    made = await asyncio.gather(
        *(
            c.update_one({"key": "k"}, {"$setOnInsert": {"by": n}}, upsert=True)
            for n, c in enumerate(clients)
        )
    )

    assert sum(result.upserted_id is not None for result in made) == 1
    assert await clients[0].count_documents({}) == 1


async def test_transaction_commits_all(client: Client, things: AsyncCollection[Document]) -> None:
    async with client.start_session() as session, await session.start_transaction():
        await things.insert_one({"_id": "state"}, session=session)
        await things.insert_one({"_id": "event"}, session=session)
        assert await things.count_documents({}) == 0

    assert await things.count_documents({}) == 2


async def test_aborted_transaction_leaves_nothing(
    client: Client, things: AsyncCollection[Document]
) -> None:
    async with client.start_session() as session:
        await session.start_transaction()
        await things.insert_one({"_id": "state"}, session=session)
        await session.abort_transaction()

    assert await things.count_documents({}) == 0


async def test_conflicting_transaction_is_transient(
    client: Client, things: AsyncCollection[Document]
) -> None:
    await things.insert_one({"_id": 1, "n": 0})

    async with client.start_session() as first, client.start_session() as second:
        await first.start_transaction()
        await second.start_transaction()
        await things.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=first)
        with pytest.raises(OperationFailure) as refused:
            await things.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=second)
        await first.commit_transaction()

    assert refused.value.has_error_label("TransientTransactionError")
    assert await things.find_one() == {"_id": 1, "n": 1}


async def test_retried_transactions_count_exactly(
    client: Client, things: AsyncCollection[Document]
) -> None:
    await things.insert_one({"_id": 1, "n": 0})

    await asyncio.gather(*(_in_transaction(client, _raise_by_reading(things)) for _ in range(10)))

    assert await things.find_one() == {"_id": 1, "n": 10}


async def _in_transaction(
    client: Client, body: Callable[[AsyncClientSession], Awaitable[None]]
) -> None:
    async with client.start_session() as session:
        await session.with_transaction(body)


def _raise_by_reading(
    things: AsyncCollection[Document],
) -> Callable[[AsyncClientSession], Awaitable[None]]:
    async def body(session: AsyncClientSession) -> None:
        found = await things.find_one({"_id": 1}, session=session)
        assert found is not None
        await things.update_one({"_id": 1}, {"$set": {"n": found["n"] + 1}}, session=session)

    return body


async def test_keeps_a_ttl_index(things: AsyncCollection[Document]) -> None:
    await things.create_indexes([IndexModel("expires_at", name="expiry", expireAfterSeconds=0)])

    kept = await things.index_information()

    assert kept["expiry"]["expireAfterSeconds"] == 0


async def test_acknowledges_majority_and_journal(things: AsyncCollection[Document]) -> None:
    durable = things.with_options(write_concern=WriteConcern(w="majority", j=True))

    result = await durable.insert_one({"_id": 1})

    assert result.acknowledged
    assert await things.find_one() == {"_id": 1}


async def test_queries_use_their_index(things: AsyncCollection[Document]) -> None:
    await things.create_index([("namespace", 1), ("created_at", -1)])
    await things.insert_many([{"namespace": str(n % 5), "created_at": n} for n in range(100)])

    page = things.find({"namespace": "3"}).sort("created_at", -1).limit(3)

    assert [found["created_at"] async for found in page] == [98, 93, 88]
    plan = await things.find({"namespace": "3"}).sort("created_at", -1).explain()
    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])


async def test_change_stream_tells_another_client(
    things: AsyncCollection[Document], clients: list[AsyncCollection[Document]]
) -> None:
    async with await things.watch(max_await_time_ms=200) as stream:
        await clients[1].insert_one({"_id": "seen"})

        change = await stream.next()

    assert (change["operationType"], change["documentKey"]) == ("insert", {"_id": "seen"})


async def test_round_trip_keeps_types(things: AsyncCollection[Document]) -> None:
    document = {
        "_id": 1,
        "big": 2**60,
        "bytes": b"\x00\xff",
        "none": None,
        "nested": {"b": 1, "a": []},
    }
    document["at"] = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)

    await things.insert_one(document)

    found = await things.find_one()
    assert found == document
    assert list(found["nested"]) == ["b", "a"]
