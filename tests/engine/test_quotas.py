"""A namespace's blocks in flight, over all conductors."""

import asyncio
from dataclasses import replace

from engine.inline_pool import InlinePools
from engine.slots import Slots
from models.batch import Batch
from models.block import Block
from models.ids import new_id
from models.stored import LONG_AGO
from models.stores import Stores
from tests.engine.batches import make_run, reread, submitted, texts_in, with_engine, words_of
from tests.factories import make_bucket
from tests.fixtures.stores import NamespaceOfTest
from workers.namespaces import open_namespace

MOST = 3


def limited(stores: Stores) -> Stores:
    """Return the stores under a quota, with blocks of one row."""
    single = with_engine(stores, block_rows=1)
    quotas = single.settings.quotas.model_copy(update={"blocks_in_flight": MOST})
    return replace(single, settings=single.settings.model_copy(update={"quotas": quotas}))


async def batch_of(stores: Stores, namespace_id: str, blocks: int) -> Batch:
    bucket = make_bucket(namespace_id)
    return await submitted(stores, bucket, texts_in(bucket, ["a"] * blocks), words_of(bucket))


async def test_two_conductors_that_claim_at_once_keep_within_the_quota(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    capped = limited(stores)
    for _ in range(3):
        owner, _ = await open_namespace(stores, new_id("ns"))
        runs = [
            await make_run(capped, await batch_of(capped, owner.id, 6), inline) for _ in range(2)
        ]

        claims = await asyncio.gather(*(run._claim() for run in runs for _ in range(4)))

        taken = [block for block in claims if block is not None]
        assert len(taken) == MOST
        assert len({block.id for block in taken}) == MOST
        rows = Block.get_pymongo_collection()
        assert await rows.count_documents({"namespace_id": owner.id, "status": "LEASED"}) == MOST


async def test_a_lapsed_lease_takes_no_room(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    capped = limited(stores)
    run = await make_run(capped, await batch_of(capped, namespace.id, MOST), inline)
    taken = [await run._claim() for _ in range(MOST)]
    assert await run._claim() is None
    await Block.get_pymongo_collection().update_many(
        {"namespace_id": namespace.id},
        {"$set": {"lease_until": LONG_AGO}},
    )

    again = [await run._claim() for _ in range(MOST)]

    assert {block and block.id for block in again} == {block and block.id for block in taken}


async def test_another_namespace_has_a_quota_of_its_own_and_all_of_it_is_done(
    stores: Stores, namespace: NamespaceOfTest, inline: InlinePools
) -> None:
    capped = limited(stores)
    other, _ = await open_namespace(stores, new_id("ns"))
    full = await make_run(capped, await batch_of(capped, namespace.id, MOST), inline)
    assert None not in [await full._claim() for _ in range(MOST)]

    batch = await batch_of(capped, other.id, 8)
    await (await make_run(capped, batch, inline)).run()

    assert (await reread(batch)).blocks_open == 0


async def test_slots_of_one_namespace_are_limited_and_the_rest_goes_to_others() -> None:
    slots = Slots(4, 2)
    mine = [slots.ask("a") for _ in range(3)]
    theirs = slots.ask("b")

    assert [one.done() for one in (*mine, theirs)] == [True, True, False, True]
    slots.give_back("a")
    assert mine[2].done()
