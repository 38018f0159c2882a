"""Webhook: an address of a namespace's that is told what happens, and how it has fared lately.

One worker at a time delivers to a webhook, under a lease by the server's clock, so that its limit
of concurrent requests and its circuit breaker need no agreement between processes.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field
from pymongo import IndexModel, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from models.events import Entry, EventType, SubjectType, append_notice
from models.stored import Namespaced, now, server_time_in

_LONG_AGO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
DISABLE_AFTER_DAYS: Final = 5
BREAKER_FAILURES: Final = 5  # one after the other open the breaker
_BREAKER_FIRST_SECONDS: Final = 30
_BREAKER_DOUBLINGS: Final = 4  # at most 8 minutes


class WebhookEventType(StrEnum):
    """What a webhook can be told; the names are public."""

    BATCH_QUEUED = "batch.queued"
    BATCH_PROCESSING = "batch.processing"
    BATCH_PROGRESS = "batch.progress"
    BATCH_COMPLETED = "batch.completed"
    BATCH_COMPLETED_WITH_ERRORS = "batch.completed_with_errors"
    BATCH_FAILED = "batch.failed"
    BATCH_CANCELED = "batch.canceled"
    BATCH_DELETED = "batch.deleted"
    TIER_COMPLETED = "tier.completed"
    COLLECTION_DOCUMENTS_WRITTEN = "collection.documents.written"
    COLLECTION_SCHEMA_CHANGED = "collection.schema_changed"
    OBJECT_CREATED = "object.created"
    OBJECT_UPDATED = "object.updated"
    OBJECT_DELETED = "object.deleted"
    ENDPOINT_DISABLED = "endpoint.disabled"
    ENDPOINT_TEST = "endpoint.test"


ON_REQUEST: Final = frozenset({WebhookEventType.BATCH_PROGRESS})  # sent to those who name it
_PUBLIC_NAMES: Final[Mapping[EventType, WebhookEventType]] = {
    EventType.BLOCK_DONE: WebhookEventType.BATCH_PROGRESS,
    **{
        kind: WebhookEventType(kind)
        for kind in EventType
        if kind in frozenset(str(one) for one in WebhookEventType)
    },
}


def public_type(entry: Entry) -> WebhookEventType | None:
    """Return what webhooks call an entry of the log; None when it is nothing to them."""
    return _PUBLIC_NAMES.get(entry.type)


class WebhookSecret(BaseModel):
    """A signing secret, sealed; its end is set when another takes its place."""

    model_config = ConfigDict(frozen=True)

    sealed: str
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime | None = None

    @property
    def live(self) -> bool:
        """Whether deliveries are still signed with it."""
        return self.expires_at is None or self.expires_at > now()


class Webhook(Namespaced):
    """One endpoint."""

    url: str
    description: str = ""
    event_types: list[WebhookEventType] = []  # empty: all but those sent on request
    bucket_ids: list[str] = []  # empty: all
    collection_ids: list[str] = []
    secrets: list[WebhookSecret]  # the newest first
    enabled: bool = True
    disabled_reason: str | None = None
    disabled_at: datetime | None = None
    failures: int = 0  # attempts since the last success
    failing_since: datetime | None = None
    breaker_until: datetime = _LONG_AGO
    epoch: int = 0
    lease_until: datetime = _LONG_AGO
    updated_at: datetime = Field(default_factory=now)

    class Settings:
        """Where it is stored and how it is found."""

        name = "webhooks"
        indexes: ClassVar = [IndexModel([("namespace_id", 1), ("_id", 1)], name="namespace")]

    @property
    def live_secrets(self) -> list[WebhookSecret]:
        """Those that sign, the newest first."""
        return [one for one in self.secrets if one.live]

    @property
    def probing(self) -> bool:
        """Whether one request has to succeed before others are made."""
        return self.failures >= BREAKER_FAILURES

    def wants(self, entry: Entry) -> bool:
        """Tell whether an entry of the log is for this webhook."""
        kind = public_type(entry)
        if kind is None or (self.event_types and kind not in self.event_types):
            return False
        if not self.event_types and kind in ON_REQUEST:
            return False
        if self.bucket_ids and entry.bucket_id not in self.bucket_ids:
            return False
        return not self.collection_ids or not set(self.collection_ids).isdisjoint(
            entry.collection_ids
        )


async def read_enabled_webhooks(session: AsyncClientSession, namespace_id: str) -> list[Webhook]:
    """Return a namespace's webhooks that are told anything."""
    found = Webhook.get_pymongo_collection().find(
        {"namespace_id": namespace_id, "enabled": True}, session=session
    )
    return [Webhook.model_validate(row) async for row in found]


async def claim_webhook(webhook_id: str, *, lease_seconds: float) -> Webhook | None:
    """Take the right to deliver to a webhook; None when it is not to be called now."""
    row = await Webhook.get_pymongo_collection().find_one_and_update(
        {
            "_id": webhook_id,
            "enabled": True,
            "$expr": {
                "$and": [
                    {"$lt": ["$lease_until", "$$NOW"]},
                    {"$lte": ["$breaker_until", "$$NOW"]},
                ]
            },
        },
        [
            {
                "$set": {
                    "epoch": {"$add": ["$epoch", 1]},
                    "lease_until": server_time_in(lease_seconds),
                }
            }
        ],
        return_document=ReturnDocument.AFTER,
    )
    return None if row is None else Webhook.model_validate(row)


async def renew_webhook(webhook: Webhook, *, lease_seconds: float) -> Webhook | None:
    """Keep a webhook and return it as it is now; None when we may call it no longer."""
    row = await Webhook.get_pymongo_collection().find_one_and_update(
        {
            "_id": webhook.id,
            "epoch": webhook.epoch,
            "enabled": True,
            "$expr": {"$lte": ["$breaker_until", "$$NOW"]},
        },
        [{"$set": {"lease_until": server_time_in(lease_seconds)}}],
        return_document=ReturnDocument.AFTER,
    )
    return None if row is None else Webhook.model_validate(row)


async def release_webhook(webhook: Webhook) -> None:
    """Give a webhook back, if it is still ours."""
    await Webhook.get_pymongo_collection().update_one(
        {"_id": webhook.id, "epoch": webhook.epoch}, {"$set": {"lease_until": _LONG_AGO}}
    )


async def note_success(webhook_id: str) -> None:
    """Forget the failures before a success."""
    await Webhook.get_pymongo_collection().update_one(
        {"_id": webhook_id, "failures": {"$gt": 0}},
        {"$set": {"failures": 0, "failing_since": None, "breaker_until": _LONG_AGO}},
    )


async def note_failure(webhook_id: str) -> Webhook | None:
    """Count a failure; so many one after the other keep the webhook from being called a while."""
    failures = {"$add": ["$failures", 1]}
    doublings = {"$min": [{"$subtract": [failures, BREAKER_FAILURES]}, _BREAKER_DOUBLINGS]}
    pause = {"$multiply": [_BREAKER_FIRST_SECONDS * 1000, {"$pow": [2, doublings]}]}
    until = {
        "$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": {"$toLong": pause}}
    }
    row = await Webhook.get_pymongo_collection().find_one_and_update(
        {"_id": webhook_id},
        [
            {
                "$set": {
                    "failures": failures,
                    "failing_since": {"$ifNull": ["$failing_since", "$$NOW"]},
                    "breaker_until": {
                        "$cond": [
                            {"$gte": [failures, BREAKER_FAILURES]}, until, "$breaker_until",
                        ]
                    },
                }
            }
        ],
        return_document=ReturnDocument.AFTER,
    )  # fmt: skip
    return None if row is None else Webhook.model_validate(row)


async def disable_webhook(session: AsyncClientSession, webhook: Webhook, reason: str) -> bool:
    """Call a webhook no longer, and say so in the log; False when it was disabled already."""
    row = await Webhook.get_pymongo_collection().find_one_and_update(
        {"_id": webhook.id, "enabled": True},
        {"$set": {"enabled": False, "disabled_reason": reason, "disabled_at": now()}},
        session=session,
    )
    if row is None:
        return False
    await append_notice(
        session,
        webhook.namespace_id,
        EventType.ENDPOINT_DISABLED,
        (SubjectType.WEBHOOK, webhook.id),
        data={"webhookId": webhook.id, "url": webhook.url, "reason": reason},
    )
    return True
