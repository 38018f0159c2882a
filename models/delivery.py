"""Delivery: one event for one webhook, from the outbox to its end, with a log of the attempts.

A delivery is written in the transaction that gives its event a position, so there is one of it and
never two. The body is written there too, once for all webhooks, and sent as these bytes each time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field
from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from models.stored import Namespaced, now
from models.webhook import WebhookEventType

KEPT_DAYS: Final = 30
_KEPT: Final = int(timedelta(days=KEPT_DAYS).total_seconds())
_LOGGED_ATTEMPTS: Final = 20  # the latest


class DeliveryStatus(StrEnum):
    """Where a delivery is."""

    PENDING = "PENDING"  # due at `not_before`
    DELIVERED = "DELIVERED"  # the receiver said so
    FAILED = "FAILED"  # given up; may be redelivered on request


class Attempt(BaseModel):
    """One request and what came of it."""

    model_config = ConfigDict(frozen=True)

    at: datetime = Field(default_factory=now)
    url: str
    request_headers: dict[str, str]
    status: int | None = None
    error: str | None = None
    response_headers: dict[str, str] = {}
    response_body: str = ""  # its beginning
    seconds: float = 0.0


class Delivery(Namespaced):
    """One event for one webhook."""

    webhook_id: str
    event_id: str  # the receiver's key against doubles: the same for each attempt
    type: WebhookEventType
    position: int = 0
    status: DeliveryStatus = DeliveryStatus.PENDING
    attempts: int = 0
    not_before: datetime = Field(default_factory=now)
    log: list[Attempt] = []
    trace: str | None = None  # of what its event goes back to
    finished_at: datetime | None = None

    class Settings:
        """Where it is stored and how it is found."""

        name = "deliveries"
        indexes: ClassVar = [
            IndexModel([("webhook_id", 1), ("event_id", 1)], unique=True, name="event"),
            IndexModel([("namespace_id", 1), ("webhook_id", 1), ("_id", -1)], name="webhook"),
            IndexModel([("status", 1), ("webhook_id", 1), ("not_before", 1)], name="due"),
            IndexModel([("created_at", 1)], expireAfterSeconds=_KEPT, name="kept"),
        ]


class Payload(Namespaced):
    """The body of one event, as sent; its id is the event's."""

    body: bytes

    class Settings:
        """Where it is stored."""

        name = "webhook_payloads"
        indexes: ClassVar = [IndexModel([("created_at", 1)], expireAfterSeconds=_KEPT, name="kept")]


async def insert_deliveries(
    session: AsyncClientSession, payloads: Sequence[Payload], deliveries: Sequence[Delivery]
) -> None:
    """Write what is to be sent."""
    for model, items in ((Payload, payloads), (Delivery, deliveries)):
        if items:
            await model.get_pymongo_collection().insert_many(
                [item.to_mongo() for item in items], session=session
            )


async def read_waiting_webhooks() -> list[str]:
    """Return the webhooks for which anything waits, due or not."""
    pending = {"status": str(DeliveryStatus.PENDING)}
    return list(await Delivery.get_pymongo_collection().distinct("webhook_id", pending))


async def read_due(webhook_id: str, *, limit: int) -> list[Delivery]:
    """Return deliveries of a webhook that are due, the longest due first."""
    found = Delivery.get_pymongo_collection().find(
        {
            "status": str(DeliveryStatus.PENDING),
            "webhook_id": webhook_id,
            "not_before": {"$lte": now()},
        },
        sort=[("not_before", ASCENDING)],
        limit=limit,
    )
    return [Delivery.model_validate(row) async for row in found]


async def read_body(delivery: Delivery) -> bytes | None:
    """Return what is to be sent; None when it is older than bodies are kept."""
    row = await Payload.get_pymongo_collection().find_one({"_id": delivery.event_id})
    return None if row is None else bytes(row["body"])


async def begin_attempt(delivery: Delivery, *, lease_seconds: float) -> Delivery | None:
    """Count an attempt before it is made; None when somebody else is at it.

    Until its outcome is written the delivery is not due: the time is the lease of the attempt, and
    who dies in it has used one.
    """
    row = await Delivery.get_pymongo_collection().find_one_and_update(
        {
            "_id": delivery.id,
            "status": str(DeliveryStatus.PENDING),
            "attempts": delivery.attempts,
            "not_before": delivery.not_before,
        },
        {
            "$inc": {"attempts": 1},
            "$set": {"not_before": now() + timedelta(seconds=lease_seconds)},
        },
        return_document=ReturnDocument.AFTER,
    )
    return None if row is None else Delivery.model_validate(row)


async def end_attempt(delivery: Delivery, attempt: Attempt, values: Mapping[str, Any]) -> bool:
    """Write an attempt's outcome; False when the delivery has gone on without it."""
    result = await Delivery.get_pymongo_collection().update_one(
        {
            "_id": delivery.id,
            "status": str(DeliveryStatus.PENDING),
            "attempts": delivery.attempts,
            "not_before": delivery.not_before,
        },
        {
            "$set": dict(values),
            "$push": {"log": {"$each": [attempt.model_dump()], "$slice": -_LOGGED_ATTEMPTS}},
        },
    )
    return result.matched_count == 1


async def renew_deliveries(match: Mapping[str, Any]) -> int:
    """Make ended deliveries due again, with a schedule of their own; return how many."""
    result = await Delivery.get_pymongo_collection().update_many(
        match,
        {
            "$set": {
                "status": str(DeliveryStatus.PENDING),
                "attempts": 0,
                "not_before": now(),
                "finished_at": None,
            }
        },
    )
    return result.modified_count


async def measure_pending() -> tuple[int, datetime | None]:
    """Return how many deliveries wait, and since when the first of them has been due."""
    rows, pending = Delivery.get_pymongo_collection(), {"status": str(DeliveryStatus.PENDING)}
    first = await rows.find_one(pending, {"not_before": 1}, sort=[("not_before", ASCENDING)])
    return await rows.count_documents(pending), None if first is None else first["not_before"]
