"""One message of the `batchEvents` subscription, as far as a progress bar needs it."""

from dataclasses import dataclass
from typing import Any, Final, Self

ENDED: Final = frozenset({"CANCELED", "COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED"})


@dataclass(frozen=True)
class Frame:
    """How far a batch is, and the place in its stream where this was said."""

    cursor: str
    status: str
    message: str
    documents: int
    failed_rows: int
    rows: int
    percent: float
    seconds_left: float | None

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self.status in ENDED

    @classmethod
    def parse(cls, message: dict[str, Any]) -> Self:
        """Read a snapshot or a change."""
        batch = message["batch"]
        counts, progress = batch["counts"], batch["progress"]
        reason = batch["reason"] or {}
        return cls(
            cursor=message["cursor"],
            status=batch["status"],
            message=batch["errorMessage"] or reason.get("message") or "",
            documents=counts["documentsWritten"],
            failed_rows=counts["rowsFailed"],
            rows=progress["rowsDone"],
            percent=progress["percent"],
            seconds_left=progress["etaSeconds"],
        )
