"""The four stores of one process, opened together and closed in reverse order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from models.artifacts import ArtifactStore, open_artifacts
from models.bus import Bus
from models.cache import AnswerCache
from models.database import Database, open_database
from models.egress import Egress, open_egress
from models.sealing import Seal
from models.settings import Settings
from models.vectors import VectorStore, open_vectors


@dataclass(frozen=True)
class Stores:
    """Handles to MongoDB, Redis, S3 and Qdrant, and the way out to users' addresses."""

    settings: Settings
    database: Database
    bus: Bus
    artifacts: ArtifactStore
    vectors: VectorStore
    egress: Egress
    answers: AnswerCache

    @property
    def seal(self) -> Seal:
        """What keeps secrets unreadable in MongoDB."""
        return Seal(self.settings.sealing_keys)


@asynccontextmanager
async def open_stores(settings: Settings, *, prepare: bool = False) -> AsyncIterator[Stores]:
    """Open every store; `prepare` also builds indexes and the S3 bucket.

    Raises:
        Misconfigured: an address is missing, or a server lacks what Strata needs.
        StoreUnavailable: a server does not answer.
    """
    async with AsyncExitStack() as stack:
        database = await open_database(settings.mongo, build_indexes=prepare)
        stack.push_async_callback(database.close)
        bus = Bus(settings.redis)
        stack.push_async_callback(bus.close)
        artifacts = await stack.enter_async_context(open_artifacts(settings.s3))
        vectors = await stack.enter_async_context(open_vectors(settings.qdrant))
        egress = await stack.enter_async_context(open_egress(settings.egress))
        if prepare:
            await artifacts.prepare()
        answers = AnswerCache(bus, settings.answers)
        yield Stores(settings, database, bus, artifacts, vectors, egress, answers)
