"""Namespace: the boundary of isolation; everything below lives in one."""

from typing import ClassVar

from pymongo import IndexModel

from models.stored import Stored


class Namespace(Stored):
    """A tenant's world."""

    name: str
    description: str = ""
    deletion_task_id: str | None = None  # while it is being deleted

    class Settings:
        """Where it is stored and how it is found."""

        name = "namespaces"
        indexes: ClassVar = [IndexModel([("name", 1)], unique=True, name="name")]
