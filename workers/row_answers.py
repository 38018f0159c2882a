"""What became of the rows of one request."""

from dataclasses import dataclass, field
from enum import StrEnum

from models.errors import StrataError
from models.object import Object


class RowOutcome(StrEnum):
    """What became of a row."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    UNCHANGED = "UNCHANGED"  # it was there, word for word
    DELETED = "DELETED"
    REJECTED = "REJECTED"


@dataclass
class RowAnswer:
    """The answer to one row; a good row may still have lost fields to its errors."""

    outcome: RowOutcome = RowOutcome.REJECTED
    object: Object | None = None
    errors: list[StrataError] = field(default_factory=list)
