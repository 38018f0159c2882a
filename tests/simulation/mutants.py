"""Defences that are taken out of a copy of the product, for the simulation to notice."""

from typing import Final

from tests.mutants.mutant import Edit, Mutant

_BLOCK: Final = "models/block.py"
_EVENTS: Final = "workers/events.py"
_IDEMPOTENCY: Final = "models/idempotency.py"
_WRITER: Final = "engine/writer.py"
_SWEEPS: Final = "workers/sweeps.py"
_BATCHES: Final = "workers/batches.py"
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
    Mutant(
        "a request that somebody works on is taken over at once",
        (
            Edit(
                _IDEMPOTENCY,
                '            "$expr": {"$lt": ["$lease_until", "$$NOW"]},\n',
                "",
            ),
            Edit(
                _IDEMPOTENCY,
                '{"_id": self.id, "epoch": self.epoch, "state": str(ClaimState.RUNNING)},\n'
                '            {"$set": {"state": str(ClaimState.SETTLED)',
                '{"_id": self.id},\n            {"$set": {"state": str(ClaimState.SETTLED)',
            ),
        ),
        ("D2", "I1"),
    ),
    Mutant(
        "a cancel leaves the blocks in work alone",
        (
            Edit(
                _BLOCK,
                '{"batch_id": batch_id, "status": {"$in": sorted(BLOCK_LIVE)}},\n'
                '        {\n            "$set": {"status": str(BlockStatus.CANCELED)',
                '{"batch_id": batch_id, "status": {"$in": ["READY", "WAITING"]}},\n'
                '        {\n            "$set": {"status": str(BlockStatus.CANCELED)',
            ),
        ),
        ("I9", "I12"),
    ),
    Mutant(
        "a block that is done wakes nobody",
        (Edit(_WRITER, "    await wake_readers(session, work.block)\n", ""),),
        ("liveness", "heal"),
    ),
    Mutant(
        "documents are written outside of the transaction that ends their block",
        (
            Edit(
                _WRITER,
                "    added = await _replace_documents(session, output.documents)\n",
                "    added = await _replace_documents(None, output.documents)\n",
            ),
        ),
        ("I12",),
    ),
    Mutant(
        "nobody looks into batches that nothing happens to",
        (Edit(_SWEEPS, "    heal_quiet_batches,\n", ""),),
        ("liveness",),
    ),
    Mutant(
        "batches under way are not counted",
        (
            Edit(
                _BATCHES, "if most is None or await may_process(batch.id, most=most):", "if True:"
            ),
            Edit(
                _BATCHES,
                "if not await may_process(batch.id, most=most, session=session):",
                "if False:",
            ),
        ),
        ("quota",),
    ),
)
