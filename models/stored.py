"""What every MongoDB document class here shares: a string id of ours and times in UTC.

Beanie is persistence only: hot paths use the collection under it, and no class decides anything.
"""

from datetime import datetime
from typing import Any

import beanie
from pydantic import ConfigDict, Field

from models.ports import wall_clock

LONG_AGO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")  # null sorts below every date


def now() -> datetime:
    """Return the present in UTC at MongoDB's precision of one millisecond."""
    moment = wall_clock()
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def server_time_in(seconds: float) -> dict[str, Any]:
    """Return the server's time so many seconds ahead, as an expression of an update pipeline."""
    amount = int(seconds * 1000)
    return {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": amount}}


class Stored(beanie.Document):
    """A document with an id of ours."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    id: str = Field(alias="_id")  # type: ignore[assignment]  # Beanie's own is an ObjectId
    created_at: datetime = Field(default_factory=now)

    def to_mongo(self) -> dict[str, Any]:
        """Return the document as stored."""
        row: dict[str, Any] = self.model_dump(by_alias=True, exclude={"revision_id"})
        return row


class Namespaced(Stored):
    """A document that belongs to one namespace; read it through `models.scope` only."""

    namespace_id: str
