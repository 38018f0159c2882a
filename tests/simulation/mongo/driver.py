"""The driver's side: PyMongo's async classes as far as the product uses them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pymongo import ReplaceOne, UpdateOne
from pymongo.errors import OperationFailure
from pymongo.results import (
    BulkWriteResult,
    DeleteResult,
    InsertManyResult,
    InsertOneResult,
    UpdateResult,
)

from tests.simulation.errors import Locked, Unsupported
from tests.simulation.mongo.pipelines import aggregate, project, sort_rows
from tests.simulation.mongo.server import (
    Server,
    Transaction,
    distinct_values,
)
from tests.simulation.mongo.sessions import MONGO, Session, lost, lost_in_transaction, sleep
from tests.simulation.mongo.tables import Stored, Unique
from tests.simulation.mongo.updates import Update

T = TypeVar("T")
_LOCK_SECONDS: Final = 0.005  # until a write that has to wait is tried again, then twice that
_LOCK_CAP: Final = 0.5


class Client:
    """As much of AsyncMongoClient as is used."""

    append_metadata = None

    def get_database(self, name: str, **_: Any) -> "Database":
        """Return a database."""
        return Database(self)

    def start_session(self) -> Session:
        """Return a session."""
        return Session()

    async def close(self) -> None:
        """Close nothing."""


class Database:
    """One database; its collections are found by name."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._collections: dict[str, Collection] = {}

    def __getitem__(self, name: str) -> "Collection":
        return self._collections.setdefault(name, Collection(self, name))

    async def command(self, command: Any) -> dict[str, Any]:
        """Say which version this stands in for."""
        return {"version": "6.0.5"}

    async def list_collection_names(self, **_: Any) -> list[str]:
        """Name none: whoever asks wants to make them."""
        return []


class Cursor:
    """The documents of a query, all read at its beginning."""

    def __init__(self, read: Callable[[], Awaitable[list[dict[str, Any]]]]) -> None:
        self._read = read
        self.order: list[tuple[str, int]] = []

    def sort(self, key: Any, direction: int = 1) -> "Cursor":
        """Set the order."""
        self.order = [(key, direction)] if isinstance(key, str) else list(key)
        return self

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        for row in await self._read():
            yield row

    async def to_list(self, length: int | None = None) -> list[dict[str, Any]]:
        """Return all of it."""
        return await self._read()


class Collection:
    """As much of AsyncCollection as is used."""

    def __init__(self, database: Database, name: str) -> None:
        self.database = database
        self.name = name

    async def _do(
        self, said: str, effect: Callable[[Server, Transaction | None], T], session: Session | None
    ) -> T:
        mongo, pause = MONGO.get(), _LOCK_SECONDS
        attempt = None if session is None else session.attempt
        while True:

            def act() -> T:
                if attempt is None:
                    return effect(mongo.server, None)
                transaction = attempt.at_server(mongo)
                try:
                    return effect(mongo.server, transaction)
                except OperationFailure:
                    mongo.server.abort(transaction)
                    raise

            fails = lost if attempt is None else lost_in_transaction
            try:
                return await mongo.network.call("mongo", f"{self.name}.{said}", act, fails)
            except Locked:
                await sleep(mongo.network, pause)
                pause = min(2 * pause, _LOCK_CAP)

    def find(
        self,
        filter: Mapping[str, Any] | None = None,  # the driver's own name
        projection: Any = None,
        *,
        sort: Sequence[tuple[str, int]] | None = None,
        limit: int = 0,
        batch_size: int = 0,
        session: Session | None = None,
    ) -> Cursor:
        """Return a cursor."""

        async def read() -> list[dict[str, Any]]:
            def effect(server: Server, transaction: Transaction | None) -> list[dict[str, Any]]:
                found = server.find(self.name, filter or {}, transaction)
                rows = _ordered(found, cursor.order)[: limit or None]
                return [project(row.copy(), projection) for row in rows]

            return await self._do("find", effect, session)

        cursor = Cursor(read)
        return cursor.sort(list(sort)) if sort else cursor

    async def find_one(
        self,
        filter: Mapping[str, Any] | None = None,  # the driver's own name
        projection: Any = None,
        *,
        sort: Sequence[tuple[str, int]] | None = None,
        session: Session | None = None,
    ) -> dict[str, Any] | None:
        """Return the first document, or None."""
        async for row in self.find(filter, projection, sort=sort, limit=1, session=session):
            return row
        return None

    async def insert_one(
        self, document: Mapping[str, Any], *, session: Session | None = None
    ) -> InsertOneResult:
        """Insert one document."""
        await self._do(
            f"insert {document['_id']}",
            lambda server, transaction: server.insert(self.name, [document], transaction),
            session,
        )
        return InsertOneResult(document["_id"], acknowledged=True)

    async def insert_many(
        self,
        documents: Sequence[Mapping[str, Any]],
        *,
        ordered: bool = True,
        session: Session | None = None,
    ) -> InsertManyResult:
        """Insert documents."""
        await self._do(
            f"insert {len(documents)}",
            lambda server, transaction: server.insert(self.name, documents, transaction),
            session,
        )
        return InsertManyResult([one["_id"] for one in documents], acknowledged=True)

    async def find_one_and_update(
        self,
        match: Mapping[str, Any],
        update: Update,
        *,
        sort: Sequence[tuple[str, int]] | None = None,
        return_document: bool = False,
        session: Session | None = None,
    ) -> dict[str, Any] | None:
        """Change the first document, and return it as it was before or is after."""

        def effect(server: Server, transaction: Transaction | None) -> dict[str, Any] | None:
            found = _ordered(server.find(self.name, match, transaction), sort or [])
            if not found:
                return None
            (changed,) = server.update(self.name, found[:1], update, transaction)
            return changed.copy() if return_document else found[0].copy()

        return await self._do("find_one_and_update", effect, session)

    async def find_one_and_delete(
        self, match: Mapping[str, Any], *, session: Session | None = None
    ) -> dict[str, Any] | None:
        """Remove the first document, and return it."""

        def effect(server: Server, transaction: Transaction | None) -> dict[str, Any] | None:
            found = server.find(self.name, match, transaction)
            if not found:
                return None
            server.delete(self.name, found[0], transaction)
            return found[0].copy()

        return await self._do("find_one_and_delete", effect, session)

    async def update_one(
        self,
        match: Mapping[str, Any],
        update: Update,
        *,
        upsert: bool = False,
        session: Session | None = None,
    ) -> UpdateResult:
        """Change the first document."""
        return UpdateResult(
            await self._do(
                "update_one",
                lambda server, transaction: self._update(
                    server, transaction, match, update, limit=1, upsert=upsert
                ),
                session,
            ),
            acknowledged=True,
        )

    async def update_many(
        self, match: Mapping[str, Any], update: Update, *, session: Session | None = None
    ) -> UpdateResult:
        """Change every document that matches."""
        return UpdateResult(
            await self._do(
                "update_many",
                lambda server, transaction: self._update(server, transaction, match, update),
                session,
            ),
            acknowledged=True,
        )

    def _update(
        self,
        server: Server,
        transaction: Transaction | None,
        match: Mapping[str, Any],
        update: Update,
        *,
        limit: int | None = None,
        upsert: bool = False,
    ) -> dict[str, Any]:
        found = server.find(self.name, match, transaction)[:limit]
        after = server.update(self.name, found, update, transaction)
        changed = sum(one is not row for one, row in zip(after, found, strict=True))
        answer: dict[str, Any] = {"n": len(found), "nModified": changed}
        if upsert and not found:
            made = server.upsert(self.name, match, update, transaction)
            answer |= {"n": 1, "upserted": made.value["_id"]}
        return answer

    async def delete_one(
        self, match: Mapping[str, Any], *, session: Session | None = None
    ) -> DeleteResult:
        """Remove the first document."""
        return await self._delete(match, session, limit=1)

    async def delete_many(
        self, match: Mapping[str, Any], *, session: Session | None = None
    ) -> DeleteResult:
        """Remove every document that matches."""
        return await self._delete(match, session, limit=None)

    async def _delete(
        self, match: Mapping[str, Any], session: Session | None, *, limit: int | None
    ) -> DeleteResult:
        def effect(server: Server, transaction: Transaction | None) -> int:
            found = server.find(self.name, match, transaction)[:limit]
            server.require_free(self.name, found, transaction)
            for row in found:
                server.delete(self.name, row, transaction)
            return len(found)

        return DeleteResult({"n": await self._do("delete", effect, session)}, acknowledged=True)

    async def bulk_write(
        self,
        requests: Sequence[Any],
        *,
        ordered: bool = True,
        session: Session | None = None,
    ) -> BulkWriteResult:
        """Do several updates and replacements."""

        def effect(server: Server, transaction: Transaction | None) -> dict[str, Any]:
            total: dict[str, Any] = {"nMatched": 0, "nModified": 0, "nUpserted": 0}
            for request in requests:
                found = server.find(self.name, request._filter, transaction)[:1]
                server.require_free(self.name, found, transaction)
            for request in requests:
                done = self._do_one(server, transaction, request)
                upserted = "upserted" in done
                total["nUpserted"] += upserted
                total["nMatched"] += 0 if upserted else done["n"]
                total["nModified"] += done["nModified"]
            return total

        return BulkWriteResult(
            await self._do(f"bulk_write {len(requests)}", effect, session), acknowledged=True
        )

    def _do_one(
        self, server: Server, transaction: Transaction | None, request: Any
    ) -> dict[str, Any]:
        match = request._filter
        if isinstance(request, UpdateOne) and isinstance(request._doc, dict):
            upsert = bool(request._upsert)
            return self._update(server, transaction, match, request._doc, limit=1, upsert=upsert)
        if isinstance(request, ReplaceOne) and not request._upsert:
            found = server.find(self.name, match, transaction)[:1]
            for row in found:
                server.replace(self.name, row, request._doc, transaction)
            return {"n": len(found), "nModified": len(found)}
        raise Unsupported(f"bulk_write of {type(request).__name__}")

    async def count_documents(
        self, match: Mapping[str, Any], *, limit: int = 0, session: Session | None = None
    ) -> int:
        """Return how many documents match, at most `limit`."""
        return await self._do(
            "count",
            lambda server, transaction: len(
                server.find(self.name, match, transaction)[: limit or None]
            ),
            session,
        )

    async def distinct(
        self, key: str, match: Mapping[str, Any] | None = None, *, session: Session | None = None
    ) -> list[Any]:
        """Return the values of a field, each once."""
        return await self._do(
            "distinct",
            lambda server, transaction: distinct_values(
                server.find(self.name, match or {}, transaction), key
            ),
            session,
        )

    async def aggregate(
        self,
        stages: Sequence[Mapping[str, Any]],
        *,
        allowDiskUse: bool = False,  # PyMongo's own name
        session: Session | None = None,
    ) -> Cursor:
        """Return a cursor over what stages make of the collection."""

        def effect(server: Server, transaction: Transaction | None) -> list[dict[str, Any]]:
            match, rest = {}, stages
            if stages and "$match" in stages[0]:
                match, rest = stages[0]["$match"], stages[1:]
            rows = [row.copy() for row in server.find(self.name, match, transaction)]
            return aggregate(rows, rest, server.clock())

        found = await self._do("aggregate", effect, session)

        async def read() -> list[dict[str, Any]]:
            return found

        return Cursor(read)


def _ordered(rows: list[Stored], order: Sequence[tuple[str, int]]) -> list[Stored]:
    if not order:
        return rows
    places = {id(row.value): row for row in rows}
    return [places[id(value)] for value in sort_rows([row.value for row in rows], order)]


def build_indexes(server: Server, models: Sequence[Any]) -> None:
    """Let the server keep unique what the models say is."""
    for model in models:
        for index in getattr(model.Settings, "indexes", []):
            if index.document.get("unique"):
                unique = Unique(
                    tuple(index.document["key"]), index.document.get("partialFilterExpression")
                )
                server.table(model.Settings.name).uniques.append(unique)
