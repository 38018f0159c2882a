"""Defences that are taken out of a copy of the product, for the simulation to notice."""

from typing import Final

from tests.mutants.mutant import Edit, Mutant

_BLOCK: Final = "models/block.py"
_EVENTS: Final = "workers/events.py"
DEFENCES: Final = (
    Mutant(
        "a block is finished under any epoch",
        (
            Edit(
                _BLOCK,
                '{**_held(block), "status": {"$in": block_origins(to)}},',
                '{"_id": block.id, "status": {"$in": block_origins(to)}},',
            ),
        ),
        ("I8",),
    ),
    Mutant(
        "deliveries are written after the transaction that places their events",
        (
            Edit(
                _EVENTS,
                "return entries, await enqueue_deliveries(session, namespace_id, entries)",
                "return entries, set()",
            ),
            Edit(
                _EVENTS,
                "        await stores.bus.announce_placed(",
                "        webhook_ids = await stores.database.transaction(\n"
                "            lambda session: enqueue_deliveries(session, namespace_id, entries)\n"
                "        )\n"
                "        await stores.bus.announce_placed(",
            ),
        ),
        ("I6",),
    ),
    Mutant(
        "an attempt is counted when it ends",
        (
            Edit(_BLOCK, '"attempts": {"$add": ["$attempts", 1]},', ""),
            Edit(
                _BLOCK,
                '{"$set": {"status": str(to), "owner": None, "finished_at": now(), **values}},',
                '{"$set": {"status": str(to), "owner": None, "finished_at": now(), **values},'
                ' "$inc": {"attempts": 1}},',
            ),
        ),
        ("I10",),
    ),
    Mutant(
        "a claim takes a block whose lease has not run out",
        (
            Edit(
                _BLOCK,
                '{"status": str(BlockStatus.LEASED), "$expr": {"$lt": ["$lease_until", "$$NOW"]}},',
                '{"status": str(BlockStatus.LEASED)},',
            ),
        ),
        ("I8",),
    ),
)
