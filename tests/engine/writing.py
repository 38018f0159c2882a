"""The steps of a block one by one: claimed, extracted, stored, and left to the test to commit."""

from dataclasses import dataclass

from engine.catalog import make_extractor
from engine.extraction import extractor_input
from engine.inputs import InputReader
from engine.output import PutOff, Work
from engine.writer import Stored, store_block
from models.batch import Batch
from models.block import claim_block
from models.collection import Collection
from models.stores import Stores


@dataclass(frozen=True)
class Writing:
    """A block on its way: claimed, extracted and stored, not committed."""

    work: Work
    stored: Stored


async def take(stores: Stores, batch: Batch, collection: Collection) -> Work:
    """Claim the next block of a batch."""
    block = await claim_block(
        batch.id, batch.submission or "", owner="test", lease_seconds=30, max_attempts=9
    )
    assert block is not None
    return Work(batch, block, collection)


async def write(stores: Stores, work: Work) -> Writing:
    """Do everything but the commit."""
    rows = await InputReader(stores.artifacts).read(
        work.block, work.collection, work.spec, progress=lambda: None
    )
    extractor = make_extractor(work.collection.extractor, stores.settings.cache)
    extraction = extractor.run(extractor_input(rows.table, work.spec), lambda _: None)
    stored = await store_block(stores, work, rows, extraction, PutOff(), progress=lambda: None)
    return Writing(work, stored)
