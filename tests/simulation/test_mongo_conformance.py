"""The stand-in for MongoDB and the real server are asked the same, and must answer the same."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

import pytest
from pymongo import IndexModel, ReplaceOne, ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from models.ids import new_id
from models.stores import Stores
from tests.simulation.errors import Unsupported
from tests.simulation.loop import virtual_loop
from tests.simulation.mongo.driver import Client
from tests.simulation.mongo.server import Server
from tests.simulation.mongo.sessions import MONGO, Mongo
from tests.simulation.mongo.tables import Unique
from tests.simulation.network import Network

T = TypeVar("T")
EARLY, LATE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
PARTIAL: Final = {"key": {"$type": "string"}}


@dataclass(frozen=True)
class Place:
    """A collection with a unique `key`, and the client that has it."""

    rows: Any
    client: Any

    async def transaction(self, work: Callable[[Any], Awaitable[T]]) -> T:
        async with self.client.start_session() as session:
            return cast(T, await session.with_transaction(work))


Case = Callable[[Place], Awaitable[Any]]


@pytest.fixture
async def place(stores: Stores) -> AsyncIterator[Place]:
    rows = stores.database.handle[f"conformance_{new_id('sub')}"]
    index = IndexModel([("key", 1)], unique=True, partialFilterExpression=PARTIAL)
    await rows.create_indexes([index])
    yield Place(rows, stores.database.client)
    await rows.drop()


async def require_equal_answers(place: Place, case: Case) -> Any:
    """Run a case at both, and return what both answered."""
    real = await case(place)
    simulated = await asyncio.to_thread(lambda: copy_context().run(_simulate, case))
    assert simulated == real
    return real


def _simulate(case: Case) -> Any:
    chance = random.Random(1)
    with virtual_loop(chance) as loop:
        server = Server(lambda: datetime(2025, 1, 1, tzinfo=UTC))
        server.table("rows").uniques.append(Unique(("key",), PARTIAL))
        MONGO.set(Mongo(server, Network(loop, chance)))
        client = Client()
        return loop.run_until_complete(case(Place(client.get_database("any")["rows"], client)))


ROWS: Final[list[dict[str, Any]]] = [
    {"_id": "a", "n": 1, "s": "x", "when": EARLY, "tags": ["p", "q"], "in": {"deep": 1}},
    {"_id": "b", "n": 2, "s": None, "when": LATE, "tags": [], "in": {"deep": None}},
    {"_id": "c", "n": 3.0, "when": None, "tags": ["q"], "in": None, "list": [{"v": 1}, {"v": 2}]},
    {"_id": "d", "n": "2", "s": "y", "flag": True, "list": [{"v": 3}, {}]},
    {"_id": "e", "n": None, "s": "x", "flag": False, "in": {}, "tags": None},
]
FILTERS: Final[list[dict[str, Any]]] = [
    {}, {"n": 2}, {"n": None}, {"s": None}, {"s": "x"}, {"tags": "q"}, {"tags": ["q"]},
    {"tags": []}, {"in.deep": 1}, {"in.deep": None}, {"list.v": 2}, {"missing": None},
    {"n": {"$lt": 3}}, {"n": {"$lte": 3}}, {"n": {"$gt": 1}}, {"n": {"$gte": "0"}},
    {"when": {"$lt": LATE}}, {"n": {"$ne": 2}}, {"s": {"$ne": None}}, {"tags": {"$ne": "q"}},
    {"s": {"$in": ["x", None]}}, {"s": {"$nin": ["x"]}}, {"s": {"$nin": ["x", None]}},
    {"tags": {"$in": ["p"]}}, {"s": {"$exists": True}}, {"s": {"$exists": False}},
    {"list.v": {"$gt": 2}}, {"flag": {"$ne": True}}, {"s": {"$type": "string"}},
    {"$or": [{"n": 1}, {"n": "2"}]}, {"$and": [{"n": {"$gt": 0}}, {"s": "x"}]},
    {"$nor": [{"s": "x"}, {"n": 2}]}, {"_id": {"$in": ["d", "a", "zz"]}},
    {"_id": {"$gt": "b", "$lt": "e"}}, {"n": {"$gt": 1, "$lt": 3}},
    {"$expr": {"$lt": ["$when", LATE]}}, {"$expr": {"$lt": ["$when", "$$NOW"]}},
    {"$expr": {"$gte": ["$n", 2]}}, {"$expr": {"$eq": ["$s", None]}},
    {"$expr": {"$eq": [{"$ifNull": ["$s", "none"]}, "none"]}},
    {"$expr": {"$and": [{"$lt": ["$n", 3]}, {"$gt": ["$n", 0]}]}},
    {"$expr": {"$lt": ["$n", {"$add": [1, {"$ifNull": ["$in.deep", 0]}]}]}},
    {"$or": [{"n": 1, "$expr": {"$lt": ["$when", "$$NOW"]}}, {"n": 2}]},
]  # fmt: skip


async def test_filters_find_the_same(place: Place) -> None:
    async def find(place: Place) -> list[Any]:
        await place.rows.insert_many(ROWS)
        return [
            sorted([row["_id"] async for row in place.rows.find(match, {"_id": 1})])
            for match in FILTERS
        ]

    found = await require_equal_answers(place, find)

    assert found[1] == ["b"]


UPDATES: Final[list[Any]] = [
    {"$set": {"n": 5, "in.deep": 7, "new.er": 1}}, {"$inc": {"n": 2, "in.deep": -1, "fresh": 3}},
    {"$push": {"tags": "z"}}, {"$push": {"log": {"$each": [1, 2, 3], "$slice": -2}}},
    {"$push": {"tags": {"$each": ["y", "z"]}}}, {"$pull": {"tags": "p"}},
    {"$pull": {"tags": {"$in": ["p", "q"]}}}, {"$max": {"n": 9}}, {"$max": {"n": 0}},
    {"$set": {"n": 1}, "$inc": {"m": 1}, "$push": {"tags": 1}},
    [{"$set": {"n": {"$add": ["$n", 1]}, "m": "$n"}}],
    [{"$set": {"when": {
        "$dateAdd": {"startDate": "$when", "unit": "millisecond", "amount": 1500}}}}],
    [{"$set": {"left": {"$setDifference": ["$tags", ["p"]]}}}],
    [{"$set": {"s": {
        "$cond": [{"$eq": [{"$setDifference": ["$tags", ["p", "q"]]}, []]}, "empty", "$s"]}}}],
    [{"$set": {"n": {"$literal": "$n"}, "none": None, "in": {"$literal": {"a": 1}}}}],
    [{"$set": {"x": {"$min": [{"$subtract": ["$n", 5]}, 4]}, "y": {"$pow": [2, 3]}}}],
    [{"$set": {"z": {"$toLong": {"$multiply": ["$n", 1000]}}, "w": {"$ifNull": ["$gone", "$n"]}}}],
    [{"$set": {"gone": "$nowhere", "sum": {"$add": ["$nowhere", 1]}}}],
]  # fmt: skip


async def test_updates_leave_the_same_document(place: Place) -> None:
    async def update(place: Place) -> list[Any]:
        answers = []
        for change in UPDATES:
            await place.rows.delete_many({})
            await place.rows.insert_one(ROWS[0])
            result = await place.rows.update_one({"_id": "a"}, change)
            counts = (result.matched_count, result.modified_count, result.upserted_id)
            answers.append((await place.rows.find_one({"_id": "a"}), counts))
        return answers

    found = await require_equal_answers(place, update)

    assert found[0][0]["in"] == {"deep": 7}


async def test_claims_take_and_return_the_same(place: Place) -> None:
    async def claim(place: Place) -> list[Any]:
        await place.rows.insert_many(ROWS)
        step = [{"$set": {"n": {"$add": ["$n", 10]}}}]
        first = {"s": "x", "$expr": {"$lt": ["$n", 100]}}
        last = [("_id", -1)]
        return [
            await place.rows.find_one_and_update(
                {"n": {"$gt": 0}}, step, sort=last, return_document=ReturnDocument.AFTER
            ),
            await place.rows.find_one_and_update(first, step, sort=[("n", -1)]),
            await place.rows.find_one_and_update({"_id": "zz"}, {"$set": {"n": 1}}),
            await place.rows.find_one_and_delete({"_id": "d"}),
            await place.rows.find_one({"_id": "d"}),
            await place.rows.find_one(sort=[("n", 1)]),
            await place.rows.count_documents({"tags": "q"}, limit=1),
            await place.rows.distinct("tags", {"n": {"$ne": 0}}),
            await place.rows.distinct("in.deep"),
        ]

    await require_equal_answers(place, claim)


async def test_bulk_writes_and_upserts_count_the_same(place: Place) -> None:
    async def write(place: Place) -> list[Any]:
        await place.rows.insert_many(ROWS)
        bulk = await place.rows.bulk_write(
            [
                UpdateOne({"_id": "a"}, {"$set": {"n": 1}}),
                UpdateOne({"_id": "b"}, {"$inc": {"n": 1}}),
                UpdateOne({"_id": "f"}, {"$setOnInsert": {"n": 1}, "$inc": {"m": 1}}, upsert=True),
                UpdateOne({"_id": "a"}, {"$setOnInsert": {"n": 9}}, upsert=True),
                ReplaceOne({"_id": "c"}, {"_id": "c", "only": True}),
                ReplaceOne({"_id": "zz"}, {"_id": "zz"}),
            ],
            ordered=False,
        )
        many = await place.rows.update_many({"s": "x"}, {"$set": {"flag": False}})
        gone = await place.rows.delete_many({"flag": False})
        left = [row async for row in place.rows.find().sort("_id", 1)]
        counts = (bulk.matched_count, bulk.modified_count, bulk.upserted_count)
        return [counts, many.matched_count, many.modified_count, gone.deleted_count, left]

    await require_equal_answers(place, write)


async def test_pipelines_projections_and_orders_are_the_same(place: Place) -> None:
    async def ask(place: Place) -> list[Any]:
        await place.rows.insert_many(ROWS)
        group = {
            "_id": {"s": "$s", "flag": "$flag"},
            "rows": {"$sum": 1},
            "total": {"$sum": "$in.deep"},
            "first": {"$min": "$when"},
            "last": {"$max": "$_id"},
        }
        stages: list[dict[str, Any]] = [{"$group": group}, {"$sort": {"last": 1}}]
        cursor = await place.rows.aggregate([{"$match": {"_id": {"$ne": "b"}}}, *stages])
        chosen = {"in.deep": 1, "s": 1, "list.v": 1}
        return [
            [row async for row in cursor],
            [row async for row in place.rows.find({}, chosen, sort=[("_id", 1)])],
            [row async for row in place.rows.find({}, {"_id": 0, "s": 1}, sort=[("_id", -1)])],
            [row["_id"] async for row in place.rows.find(sort=[("n", 1), ("_id", -1)])],
            [row["_id"] async for row in place.rows.find(sort=[("when", -1), ("_id", 1)], limit=2)],
        ]

    await require_equal_answers(place, ask)


async def test_unique_keys_are_kept_the_same(place: Place) -> None:
    async def outcome(doing: Awaitable[Any]) -> str:
        try:
            await doing
        except DuplicateKeyError:
            return "duplicate"
        return "done"

    async def write(place: Place) -> list[Any]:
        rows = place.rows
        return [
            await outcome(rows.insert_one({"_id": "1", "key": "k"})),
            await outcome(rows.insert_one({"_id": "1", "key": "other"})),
            await outcome(rows.insert_one({"_id": "2", "key": "k"})),
            await outcome(rows.insert_one({"_id": "3", "key": None})),
            await outcome(rows.insert_one({"_id": "4", "key": None})),
            await outcome(rows.update_one({"_id": "3"}, {"$set": {"key": "k"}})),
            await outcome(rows.update_one({"_id": "1"}, {"$set": {"key": "free"}})),
            await outcome(rows.update_one({"_id": "3"}, {"$set": {"key": "k"}})),
            await outcome(place.transaction(lambda s: rows.insert_one({"_id": "3"}, session=s))),
            await rows.count_documents({}),
        ]

    found = await require_equal_answers(place, write)

    assert found[2:4] == ["duplicate", "done"]


async def test_a_transaction_that_conflicts_is_run_again(place: Place) -> None:
    async def conflict(place: Place) -> list[Any]:
        await place.rows.insert_one({"_id": "a", "n": 0})
        seen: list[Any] = []

        async def work(session: Any) -> None:
            seen.append((await place.rows.find_one({"_id": "a"}, session=session))["n"])
            if len(seen) == 1:
                await place.rows.update_one({"_id": "a"}, {"$inc": {"n": 10}})
            seen.append((await place.rows.find_one({"_id": "a"}, session=session))["n"])
            await place.rows.update_one({"_id": "a"}, {"$inc": {"n": 1}}, session=session)
            seen.append((await place.rows.find_one({"_id": "a"}, session=session))["n"])

        await place.transaction(work)
        return [seen, await place.rows.find_one({"_id": "a"})]

    found = await require_equal_answers(place, conflict)

    assert found == [[0, 0, 10, 10, 11], {"_id": "a", "n": 11}]


async def test_a_key_that_was_taken_meanwhile_conflicts_first(place: Place) -> None:
    async def insert(place: Place) -> list[Any]:
        runs: list[int] = []

        async def work(session: Any) -> None:
            runs.append(await place.rows.count_documents({}, session=session))
            if len(runs) == 1:
                await place.rows.insert_one({"_id": "other", "key": "k"})
            await place.rows.insert_one({"_id": "mine", "key": "k"}, session=session)

        with pytest.raises(DuplicateKeyError):
            await place.transaction(work)
        return [runs, await place.rows.count_documents({})]

    found = await require_equal_answers(place, insert)

    assert found == [[0, 1], 1]


async def test_what_raises_leaves_nothing(place: Place) -> None:
    async def fail(place: Place) -> int:
        async def work(session: Any) -> None:
            await place.rows.insert_one({"_id": "a"}, session=session)
            raise LookupError

        with pytest.raises(LookupError):
            await place.transaction(work)
        return cast(int, await place.rows.count_documents({}))

    assert await require_equal_answers(place, fail) == 0


async def test_a_write_outside_waits_for_a_transaction(place: Place) -> None:
    async def write(place: Place) -> Any:
        await place.rows.insert_one({"_id": "a", "n": 1})
        outside: list[asyncio.Task[Any]] = []

        async def work(session: Any) -> None:
            await place.rows.update_one({"_id": "a"}, {"$set": {"n": 5}}, session=session)
            change = [{"$set": {"n": {"$multiply": ["$n", 2]}}}]
            outside.append(asyncio.create_task(place.rows.update_one({"_id": "a"}, change)))
            await asyncio.sleep(0.05)
            assert not outside[0].done()

        await place.transaction(work)
        await outside[0]
        return await place.rows.find_one({"_id": "a"})

    assert await require_equal_answers(place, write) == {"_id": "a", "n": 10}


async def test_a_write_that_changes_nothing_waits_for_nobody(place: Place) -> None:
    async def write(place: Place) -> list[Any]:
        await place.rows.insert_one({"_id": "a", "n": 1})
        answers = []

        async def work(session: Any) -> None:
            await place.rows.update_one({"_id": "a"}, {"$set": {"n": 5}}, session=session)
            result = await place.rows.update_one({"_id": "a"}, {"$set": {"n": 1}})
            answers.append((result.matched_count, result.modified_count))

        await place.transaction(work)
        return [answers, await place.rows.find_one({"_id": "a"})]

    assert await require_equal_answers(place, write) == [[(1, 0)], {"_id": "a", "n": 5}]


@pytest.mark.parametrize(
    "ask",
    [
        lambda rows: rows.update_one({}, {"$rename": {"a": "b"}}),
        lambda rows: rows.update_one({}, [{"$unset": "a"}]),
        lambda rows: rows.find_one({"a": {"$regex": "x"}}),
        lambda rows: rows.find_one({"$expr": {"$size": "$a"}}),
        lambda rows: rows.aggregate([{"$lookup": {}}]),
        lambda rows: rows.find_one({}, {"a": 0}),
    ],
)
async def test_what_it_does_not_know_is_refused(ask: Callable[[Any], Awaitable[Any]]) -> None:
    async def case(place: Place) -> None:
        await place.rows.insert_one({"_id": "a", "a": [1]})
        await ask(place.rows)

    with pytest.raises(Unsupported):
        await asyncio.to_thread(lambda: copy_context().run(_simulate, case))
