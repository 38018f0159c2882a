"""Task: what a client watches for one asynchronous request, and the lease under which it is done.

A task with a `batch_id` says what its batch says; nobody runs it. Any other is run by whichever
worker claims it: `epoch` grows with each claim and fences every later write, so a worker that was
taken for dead changes nothing. MongoDB holds tasks; Redis mirrors the ended ones for a day.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field
from pymongo import IndexModel, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from models.states import BatchStatus
from models.stored import Namespaced, now, server_time_in

_LONG_AGO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
_LIVE: Final = [str(BatchStatus.QUEUED), str(BatchStatus.PROCESSING)]


class TaskType(StrEnum):
    """What was asked for."""

    BATCH_SUBMIT = "BATCH_SUBMIT"
    BUCKET_DELETE = "BUCKET_DELETE"
    COLLECTION_DELETE = "COLLECTION_DELETE"
    NAMESPACE_DELETE = "NAMESPACE_DELETE"
    OBJECTS_IMPORT = "OBJECTS_IMPORT"
    COLLECTION_REPROCESS = "COLLECTION_REPROCESS"


class TaskProgress(BaseModel):
    """How far a task is: the step under way, and units of it."""

    model_config = ConfigDict(frozen=True)

    step: str = ""
    done: int = 0
    total: int | None = None  # None while nobody knows


class Task(Namespaced):
    """One asynchronous request and how far it is."""

    type: TaskType
    batch_id: str | None = None
    subject_id: str | None = None  # the bucket or collection that it works on
    status: str  # in the words of a batch
    error_message: str | None = None  # of a live task: why its last attempt stopped
    sequence: int = 1  # grows with each change
    progress: TaskProgress = TaskProgress()
    parameters: dict[str, Any] = {}
    counts: dict[str, int] = {}  # of an import: lines by what became of them
    errors_kept: int = 0  # line errors
    position: str | None = None  # where the present step goes on after a kill
    epoch: int = 0
    attempts: int = 0  # without progress in between
    lease_until: datetime = _LONG_AGO  # of a live task that nobody runs: not due before
    updated_at: datetime = Field(default_factory=now)
    finished_at: datetime | None = None

    class Settings:
        """Where it is stored and how it is found."""

        name = "tasks"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("_id", 1)], name="namespace"),
            IndexModel([("batch_id", 1)], name="batch"),
            IndexModel([("status", 1), ("lease_until", 1)], name="due"),
        ]


async def insert_task(session: AsyncClientSession, task: Task) -> None:
    """Store a new task; belongs in the transaction that makes what it asks for inevitable."""
    await Task.get_pymongo_collection().insert_one(task.to_mongo(), session=session)


async def read_due_tasks(*, limit: int) -> list[str]:
    """Return tasks that a worker should take up: new ones, and those whose lease ran out."""
    cursor = Task.get_pymongo_collection().find(
        {
            "batch_id": None,
            "status": {"$in": _LIVE},
            "$expr": {"$lt": ["$lease_until", "$$NOW"]},
        },
        {"_id": 1},
        limit=limit,
    )
    return [row["_id"] async for row in cursor]


async def claim_task(task_id: str, *, lease_seconds: float) -> Task | None:
    """Take the right to run a task under the next epoch, by the server's clock."""
    row = await Task.get_pymongo_collection().find_one_and_update(
        {
            "_id": task_id,
            "batch_id": None,
            "status": {"$in": _LIVE},
            "$expr": {"$lt": ["$lease_until", "$$NOW"]},
        },
        [
            {
                "$set": {
                    "status": str(BatchStatus.PROCESSING),
                    "epoch": {"$add": ["$epoch", 1]},
                    "attempts": {"$add": ["$attempts", 1]},
                    "sequence": {"$add": ["$sequence", 1]},
                    "updated_at": "$$NOW",
                    "lease_until": server_time_in(lease_seconds),
                }
            }
        ],
        return_document=ReturnDocument.AFTER,
    )
    return None if row is None else Task.model_validate(row)


async def change_task(
    task: Task,
    values: Mapping[str, Any],
    *,
    lease_seconds: float,
    session: AsyncClientSession | None = None,
) -> Task | None:
    """Change a task that we run; None when it is another's by now.

    `lease_seconds` is how long nobody else may take it up.
    """
    row = await Task.get_pymongo_collection().find_one_and_update(
        {"_id": task.id, "epoch": task.epoch, "status": str(BatchStatus.PROCESSING)},
        [
            {
                "$set": {
                    **{name: {"$literal": value} for name, value in values.items()},
                    "sequence": {"$add": ["$sequence", 1]},
                    "updated_at": "$$NOW",
                    "lease_until": server_time_in(lease_seconds),
                }
            }
        ],
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    return None if row is None else Task.model_validate(row)


async def cancel_task(session: AsyncClientSession, task_id: str) -> Task | None:
    """End a live task that stands for itself, and fence whoever runs it; None when it had ended."""
    row = await Task.get_pymongo_collection().find_one_and_update(
        {"_id": task_id, "batch_id": None, "status": {"$in": _LIVE}},
        [
            {
                "$set": {
                    "status": str(BatchStatus.CANCELED),
                    "epoch": {"$add": ["$epoch", 1]},
                    "sequence": {"$add": ["$sequence", 1]},
                    "updated_at": "$$NOW",
                    "finished_at": "$$NOW",
                }
            }
        ],
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    return None if row is None else Task.model_validate(row)
