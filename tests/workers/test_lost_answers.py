"""S19: MongoDB did what it was asked, and its answer was lost; nothing may happen twice."""

import asyncio
from collections.abc import AsyncIterator

import beanie
import pytest

from models.batch import Batch
from models.database import MODELS
from models.settings import Settings
from models.stores import Stores, open_stores
from tests.fixtures.stores import NamespaceOfTest
from tests.lossy_proxy import LossyProxy
from tests.workers.jobs import inline_engine, open_job, submit
from workers.events import publish
from workers.sweeps import look


@pytest.fixture
async def proxy(settings: Settings) -> AsyncIterator[LossyProxy]:
    """A way to MongoDB on which the answer to every 13th commit or claim is lost."""
    words = (b"commitTransaction", b"findAndModify")
    async with LossyProxy(settings.mongo.url or "", words, every=13).serve() as serving:
        yield serving


@pytest.fixture
async def lossy(
    stores: Stores, namespace: NamespaceOfTest, settings: Settings, proxy: LossyProxy
) -> AsyncIterator[Stores]:
    """The stores, by that way; the namespace is there before."""
    # Direct: as a member of a replica set the driver would ask the server for its own address.
    url = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
    mongo = settings.mongo.model_copy(update={"url": url})
    async with open_stores(settings.model_copy(update={"mongo": mongo})) as opened:
        yield opened
    await beanie.init_beanie(
        database=stores.database.handle, document_models=list(MODELS), skip_indexes=True
    )


async def test_s19_what_was_done_without_an_answer_is_not_done_twice(
    lossy: Stores, namespace: NamespaceOfTest, proxy: LossyProxy
) -> None:
    job = await open_job(lossy, namespace.scope, objects=40, collections=2)
    await submit(lossy, job)

    async with inline_engine(lossy) as engine, asyncio.timeout(30):
        while (await job.batch()).status != "COMPLETED":
            await look(lossy, engine, job.batch_id)
            await publish(lossy, namespace.id)
            await asyncio.sleep(0.02)

    assert proxy.lost >= 3
    batch: Batch = await job.batch()
    assert (batch.counts.documents_written, batch.blocks_open) == (80, 0)
    history = await job.history()  # whose numbers have no holes
    assert history.count("block.done") == 6
    assert [history.count(kind) for kind in ("batch.queued", "batch.completed")] == [1, 1]
    assert [len(await job.documents(place)) for place in (0, 1)] == [40, 40]
