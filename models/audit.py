"""The audit log: who did what, when and from where. Entries are added and never changed.

An entry is written before its mutation runs, so nothing happens without one; what came of it is
added once, when it is known. An entry without an outcome is of a mutation that a crash cut off.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from pymongo import IndexModel

from models.stored import Namespaced, now

OPERATOR: Final = "operator"  # stands for a namespace in what the operator does to none of them
KEPT_DAYS: Final = 365


class AuditEntry(Namespaced):
    """One mutation. Inputs are not recorded: they may hold secrets."""

    action: str
    key_id: str
    address: str
    request_id: str
    subject_ids: list[str] = []
    outcome: str | None = None

    class Settings:
        """Where it is stored and how it is found."""

        name = "audit_log"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("_id", -1)], name="namespace"),
            IndexModel([("created_at", 1)], name="kept", expireAfterSeconds=KEPT_DAYS * 24 * 3600),
        ]


async def begin_entry(entry: AuditEntry) -> None:
    """Write down what is about to be done."""
    await AuditEntry.get_pymongo_collection().insert_one(entry.to_mongo())


async def end_entry(
    entry_id: str, *, outcome: str, subject_ids: Sequence[str], namespace_id: str
) -> None:
    """Add what came of it; a second time changes nothing."""
    await AuditEntry.get_pymongo_collection().update_one(
        {"_id": entry_id, "outcome": None},
        {
            "$set": {
                "outcome": outcome,
                "subject_ids": list(subject_ids),
                "namespace_id": namespace_id,
                "ended_at": now(),
            }
        },
    )
