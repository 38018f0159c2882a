"""What one operation paid, in points of a bucket that fills up again by the second."""

from dataclasses import dataclass
from math import ceil


@dataclass
class Charge:
    """What one operation paid."""

    requested: int
    remaining: int
    limit: int
    restored: int
    actual: int = 0

    @property
    def full_in(self) -> int:
        """Seconds until the bucket is full again, if nothing more is asked."""
        return ceil(max(0, self.limit - self.remaining) / self.restored)

    def show(self) -> dict[str, int]:
        """Return it as an answer's `extensions.cost`."""
        return {
            "requested": self.requested,
            "actual": self.actual,
            "limit": self.limit,
            "remaining": self.remaining,
            "restoreRate": self.restored,
        }
