"""Namespace: the boundary of isolation; everything below lives in one."""

from typing import ClassVar

from pymongo import IndexModel

from models.stored import Stored


class Namespace(Stored):
    """A tenant's world."""

    name: str
    description: str = ""
    event_days: int | None = None  # how long its log goes back, where that is shorter than usual
    deletion_task_id: str | None = None  # while it is being deleted

    class Settings:
        """Where it is stored and how it is found."""

        name = "namespaces"
        indexes: ClassVar = [IndexModel([("name", 1)], unique=True, name="name")]

    def kept_days(self, longest: float) -> float:
        """Return how many days of its log are kept, by the longest that the operator allows."""
        return longest if self.event_days is None else min(self.event_days, longest)
