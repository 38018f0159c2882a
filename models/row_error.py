"""Row errors: what failed, where, why, and what to do about it.

One document a row or a whole block.
"""

from typing import ClassVar

from pymongo import IndexModel

from models.errors import ErrorCategory
from models.stored import Namespaced


class RowError(Namespaced):
    """One failed row; `object_id` is None when a whole block of `rows` failed for one cause."""

    batch_id: str
    collection_id: str
    block_id: str
    object_id: str | None = None
    source_id: str | None = None
    category: ErrorCategory
    extractor: str
    message: str
    hint: str = ""
    rows: int = 1
    attempts: int = 1
    transient: bool = False  # another try may succeed
    missing_input: bool = False  # left out before it was tried: no failure, and none to retry

    class Settings:
        """Where it is stored and how it is found."""

        name = "row_errors"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("batch_id", 1), ("_id", 1)], name="batch"),
            IndexModel([("block_id", 1)], name="block"),
        ]
