"""Line errors: what was wrong with lines of an import; kept for a while, a few for each import."""

from datetime import timedelta
from typing import ClassVar, Final

from pymongo import IndexModel

from models.stored import Namespaced

KEPT: Final = timedelta(days=30)


class LineError(Namespaced):
    """One thing that was wrong with one line; `line` counts from 1."""

    task_id: str
    line: int
    code: str
    message: str
    path: list[str] = []
    hint: str = ""
    client_ref: str | None = None
    rejected: bool = True  # False: the object is there, without what was wrong

    class Settings:
        """Where it is stored and how it is found."""

        name = "line_errors"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("task_id", 1), ("_id", 1)], name="task"),
            IndexModel(
                [("created_at", 1)], name="expiry", expireAfterSeconds=int(KEPT.total_seconds())
            ),
        ]
