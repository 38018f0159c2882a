"""The MongoDB connection: opened once per process and event loop, majority writes, transactions."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import beanie
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from models.api_key import ApiKey
from models.audit import AuditEntry
from models.batch import Batch
from models.batch_member import BatchMember
from models.block import Block
from models.bucket import Bucket
from models.collection import Collection
from models.delivery import Delivery, Payload
from models.document import Document
from models.errors import Misconfigured, StoreUnavailable
from models.event_log import EventLog
from models.events import Event, Notice
from models.idempotency import IdempotentRequest
from models.line_error import LineError
from models.namespace import Namespace
from models.object import Object
from models.quotas import Gate
from models.rollup import Rollup
from models.row_error import RowError
from models.schedule import Schedule, ScheduleRun
from models.settings import MongoSettings
from models.task import Task
from models.upload import Upload
from models.webhook import Webhook

MODELS = (
    Namespace, ApiKey, Bucket, Object, Collection, Batch, BatchMember, Block, RowError,
    Document, Task, Upload, Event, Notice, EventLog, IdempotentRequest, AuditEntry, Schedule,
    ScheduleRun, Rollup, Webhook, Delivery, Payload, LineError, Gate,
)  # fmt: skip
T = TypeVar("T")
Session = AsyncClientSession


class Database:
    """One client, one database, its models initialised."""

    def __init__(self, client: AsyncMongoClient[dict[str, Any]], name: str) -> None:
        self.client = client
        self.handle: AsyncDatabase[dict[str, Any]] = client.get_database(
            name,
            write_concern=WriteConcern("majority", j=True),
            read_concern=ReadConcern("majority"),
        )

    async def transaction(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run `work` in a transaction, again on a write conflict; all of it happens or nothing."""
        async with self.client.start_session() as session:
            return await session.with_transaction(work)

    async def close(self) -> None:
        """Close the client and its pool."""
        await self.client.close()


async def open_database(settings: MongoSettings, *, build_indexes: bool = False) -> Database:
    """Connect, and bind the models of this process; raises what `connect` does."""
    database = await connect(settings)
    await beanie.init_beanie(
        database=database.handle, document_models=list(MODELS), skip_indexes=not build_indexes
    )
    return database


async def connect(settings: MongoSettings) -> Database:
    """Connect, and refuse a standalone server.

    Raises:
        Misconfigured: no URL is set, or the server is no replica set.
        StoreUnavailable: nobody answers at the URL.
    """
    if settings.url is None:
        raise Misconfigured(
            "MongoDB has no address.",
            hint="Run `strata up`, or set STRATA_MONGO__URL to a replica set.",
        )
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        settings.url, serverSelectionTimeoutMS=5_000, tz_aware=True, retryWrites=True
    )
    try:
        hello = await client.admin.command("hello")
    except PyMongoError as error:
        await client.close()
        raise StoreUnavailable(
            f"MongoDB does not answer: {type(error).__name__}.", hint="Check STRATA_MONGO__URL."
        ) from error
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        await client.close()
        raise Misconfigured(
            "MongoDB is a standalone server, which has no transactions.",
            hint="Start mongod with --replSet and run rs.initiate().",
        )
    return Database(client, settings.database)
