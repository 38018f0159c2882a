"""Stores that no running worker looks into: a database and channels apart, on the same servers.

A worker that other tests started would claim the batches of these tests as its own. Beanie binds
its classes to one database of the process, so that binding is given back at the end.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import beanie
import pytest
from beanie.exceptions import CollectionWasNotInitialized
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import InvalidOperation

from models.batch import Batch
from models.database import MODELS
from models.embedded.endpoints import Endpoints
from models.settings import Settings
from models.stores import Stores, open_stores
from tests.fixtures.stores import make_settings

NAME = "quiet"


def make_quiet_settings(endpoints: Endpoints, data: Path, *, name: str = NAME) -> Settings:
    """Return the settings of a test run, apart from every other run's."""
    usual = make_settings(endpoints, data)
    return usual.model_copy(
        update={
            "mongo": usual.mongo.model_copy(update={"database": name}),
            "redis": usual.redis.model_copy(update={"prefix": name}),
            "qdrant": usual.qdrant.model_copy(update={"prefix": name}),
        }
    )


@pytest.fixture(scope="package")
def settings(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of the test run, with names that nobody else uses."""
    return make_quiet_settings(endpoints, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="package")
async def stores(settings: Settings) -> AsyncIterator[Stores]:
    """Every store, open, with indexes and S3 bucket built."""
    before = _bound()
    async with open_stores(settings, prepare=True) as opened:
        yield opened
    if before is None:
        return
    with suppress(InvalidOperation):  # it was closed in the meantime
        await beanie.init_beanie(database=before, document_models=list(MODELS), skip_indexes=True)


def _bound() -> AsyncDatabase[dict[str, object]] | None:
    try:
        return Batch.get_pymongo_collection().database
    except CollectionWasNotInitialized:
        return None


@asynccontextmanager
async def counting(stores: Stores) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Have MongoDB count the blocks that it looks at; yields a way to ask for the number."""
    database = stores.database.handle

    async def looked_at() -> int:
        rows = database["system.profile"].find({"ns": f"{database.name}.blocks"})
        return sum([row.get("docsExamined", 0) async for row in rows])

    await database.command("profile", 2)
    try:
        yield looked_at
    finally:
        await database.command("profile", 0)
        await database.drop_collection("system.profile")
