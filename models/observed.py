"""The fields that documents of a collection were seen to have: paths, types, and since when.

What a collection declares is known at its creation; what passes through, and what lies inside of
objects and arrays, shows only in documents. The set grows, and never beyond `MOST_FIELDS`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

MOST_FIELDS: Final = 500  # of one collection, a path counted once for each of its types


class ObservedType(StrEnum):
    """What was seen at a path."""

    STRING = "STRING"
    INTEGER = "INTEGER"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    DATETIME = "DATETIME"
    OBJECT = "OBJECT"
    ARRAY = "ARRAY"
    VECTOR = "VECTOR"


Sighting = tuple[str, ObservedType]  # path and type


class ObservedField(BaseModel):
    """One type at one path."""

    model_config = ConfigDict(frozen=True)

    path: str  # names joined by dots; `[]` stands for the elements of an array
    type: ObservedType
    first_seen_at: datetime


def unseen(
    observed: Sequence[ObservedField], sightings: Iterable[Sighting], at: datetime
) -> list[ObservedField]:
    """Return what is new among sightings, as far as there is room for it, the shallow first."""
    known = {(one.path, one.type) for one in observed}
    new = sorted(set(sightings) - known, key=lambda one: (one[0].count("."), one))
    return [
        ObservedField(path=path, type=kind, first_seen_at=at)
        for path, kind in new[: max(0, MOST_FIELDS - len(observed))]
    ]
