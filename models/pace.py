"""How long blocks took lately in a namespace, from its rollups: by collection and by extractor."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from models.rollup import Rollup
from models.scope import Scope
from models.stored import now

RECENT: Final = timedelta(days=7)
_ROLLUPS_READ: Final = 500  # the newest; each is an hour of a collection


@dataclass(frozen=True)
class Pace:
    """What blocks took; the seconds of each count, also of those that were worked on at once."""

    seconds: float
    blocks: float
    rows: float

    def __add__(self, other: "Pace") -> "Pace":
        return Pace(
            self.seconds + other.seconds, self.blocks + other.blocks, self.rows + other.rows
        )

    def seconds_for(self, rows: float, unsized: float) -> float:
        """Return what so many rows take, and so many blocks whose rows are not known yet."""
        of_rows = rows * self.seconds / self.rows if self.rows else 0.0
        return of_rows + unsized * self.seconds / self.blocks


@dataclass(frozen=True)
class Paces:
    """The paces of a namespace."""

    by_collection: Mapping[str, Pace]
    by_extractor: Mapping[str, Pace]


async def read_paces(scope: Scope) -> Paces:
    """Return the paces of what was done within `RECENT`, by one call."""
    rows = await scope.aggregate(
        Rollup,
        {"hour": {"$gte": now() - RECENT}, "timings.block.count": {"$gt": 0}},
        [
            {"$sort": {"hour": -1}},
            {"$limit": _ROLLUPS_READ},
            {
                "$group": {
                    "_id": {"collection": "$collection_id", "extractor": "$extractor"},
                    "seconds": {"$sum": "$timings.block.seconds"},
                    "blocks": {"$sum": "$timings.block.count"},
                    "rows": {"$sum": "$counts.rows_in"},
                }
            },
        ],
    )
    found = [(row.pop("_id"), Pace(**row)) for row in rows]
    return Paces(
        _add_up((key["collection"], pace) for key, pace in found),
        _add_up((key["extractor"], pace) for key, pace in found),
    )


def _add_up(paces: Iterable[tuple[str, Pace]]) -> dict[str, Pace]:
    sums: dict[str, Pace] = defaultdict(lambda: Pace(0.0, 0, 0))
    for key, pace in paces:
        sums[key] += pace
    return dict(sums)
