"""Damage that no fault does: what a defect of the product, or a hand in the database, might leave.

Each kind keeps a batch from ending, and is for the product's healing sweep to find.
"""

import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from tests.simulation.mongo.server import Server
from tests.simulation.mongo.tables import Stored
from tests.simulation.mongo.updates import Update

_FAR: Final = timedelta(hours=5)


def harm_batch(server: Server, chance: random.Random) -> tuple[str, str] | None:
    """Damage a live batch; returns how, and its id, or None when there is none."""
    for damage in chance.sample(_DAMAGES, len(_DAMAGES)):
        harmed = damage(server, chance)
        if harmed is not None:
            return damage.__name__.removeprefix("_"), harmed
    return None


def _count_one_more(server: Server, chance: random.Random) -> str | None:
    row = _choose(server, "batches", chance, status={"$in": ["QUEUED", "PROCESSING"]})
    return _change(server, "batches", row, {"$inc": {"blocks_open": 1}})


def _forget_wake(server: Server, chance: random.Random) -> str | None:
    row = _choose(server, "blocks", chance, status="WAITING")
    return _change(server, "blocks", row, {"$push": {"waits_for": "blk_of_nobody"}})


def _hold_block(server: Server, chance: random.Random) -> str | None:
    row = _choose(server, "blocks", chance, status="READY", held=False)
    return _change(server, "blocks", row, {"$set": {"held": True}})


def _lease_for_long(server: Server, chance: random.Random) -> str | None:
    row = _choose(server, "blocks", chance, status="LEASED")
    return _change(server, "blocks", row, {"$set": {"lease_until": server.clock() + _FAR}})


def _choose(server: Server, name: str, chance: random.Random, **match: Any) -> Stored | None:
    """Return a document of a live batch that no transaction is about to change."""
    rows = [
        row
        for row in server.find(name, match)
        if (name, row.value["_id"]) not in server.locks and _is_live(server, row.value)
    ]
    return chance.choice(rows) if rows else None


def _is_live(server: Server, document: Mapping[str, Any]) -> bool:
    """Tell whether a document is of what was submitted, and so is to be mended."""
    if "batch_id" not in document:
        return True
    batch = server.table("batches").rows[document["batch_id"]].value
    return (
        batch["status"] in ("QUEUED", "PROCESSING")
        and batch["submission"] == document["submission"]
    )


def _change(server: Server, name: str, row: Stored | None, update: Update) -> str | None:
    if row is None:
        return None
    server.update(name, [row], update, None)
    return str(row.value.get("batch_id", row.value["_id"]))


_DAMAGES: Final = (_count_one_more, _forget_wake, _hold_block, _lease_for_long)
