"""Task: what a client watches for one asynchronous request.

MongoDB holds it; Redis mirrors it for a day.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from models.stored import Namespaced, now


class TaskType(StrEnum):
    """What was asked for."""

    BATCH_SUBMIT = "BATCH_SUBMIT"


class Task(Namespaced):
    """One asynchronous request and how far it is."""

    type: TaskType
    batch_id: str
    status: str
    error_message: str | None = None
    updated_at: datetime = Field(default_factory=now)
    finished_at: datetime | None = None

    class Settings:
        """Where it is stored and how it is found."""

        name = "tasks"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("_id", 1)], name="namespace"),
            IndexModel([("batch_id", 1)], name="batch"),
        ]
