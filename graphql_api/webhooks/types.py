"""Types of webhooks and deliveries."""

import strawberry

from graphql_api.enums import show_enum
from graphql_api.node import Node
from graphql_api.scalars import JSON, BigInt, DateTime, show_time
from models.delivery import Attempt as AttemptModel
from models.delivery import Delivery as DeliveryModel
from models.delivery import DeliveryStatus
from models.webhook import BREAKER_FAILURES, WebhookEventType
from models.webhook import Webhook as WebhookModel

show_enum(
    WebhookEventType,
    "What a webhook can be told of.",
    {
        WebhookEventType.BATCH_QUEUED: "A batch was submitted.",
        WebhookEventType.BATCH_PROCESSING: "A worker took it.",
        WebhookEventType.BATCH_PROGRESS: "Blocks of it are done. Sent only to those who "
        "name it; of progress that comes together, only the latest.",
        WebhookEventType.BATCH_COMPLETED: "Every row became documents, or rightly none.",
        WebhookEventType.BATCH_COMPLETED_WITH_ERRORS: "The same, but for some rows.",
        WebhookEventType.BATCH_FAILED: "It cannot go on.",
        WebhookEventType.BATCH_CANCELED: "It was stopped on request.",
        WebhookEventType.BATCH_DELETED: "It was forgotten.",
        WebhookEventType.TIER_COMPLETED: "Every block of one of its tiers has ended.",
        WebhookEventType.COLLECTION_DOCUMENTS_WRITTEN: "A block's documents can be found.",
        WebhookEventType.COLLECTION_SCHEMA_CHANGED: "A document has a field, a type "
        "or a vector that none had before.",
        WebhookEventType.OBJECT_CREATED: "Objects were registered; one event for up to 500.",
        WebhookEventType.OBJECT_UPDATED: "Objects were changed.",
        WebhookEventType.OBJECT_DELETED: "Objects were deleted.",
        WebhookEventType.ENDPOINT_DISABLED: "A webhook is called no longer.",
        WebhookEventType.ENDPOINT_TEST: "Nothing happened: somebody asked for a test.",
    },
)
show_enum(
    DeliveryStatus,
    "Where a delivery is.",
    {
        DeliveryStatus.PENDING: "It is tried at notBefore.",
        DeliveryStatus.DELIVERED: "The receiver answered with a 2xx status.",
        DeliveryStatus.FAILED: "It was given up; redeliver tries again.",
    },
)
__all__ = ["DeliveryStatus", "WebhookEventType"]


@strawberry.type(description="An address that is told what happens in the namespace.")
class Webhook(Node):
    """A webhook as shown."""

    url: str = strawberry.field(description="Where requests go.")
    description: str = strawberry.field(description="Free text.")
    event_types: list[WebhookEventType] = strawberry.field(
        description="What it is told; empty for everything but BATCH_PROGRESS."
    )
    bucket_ids: list[strawberry.ID] = strawberry.field(description="Only of these; empty for all.")
    collection_ids: list[strawberry.ID] = strawberry.field(
        description="Only of these; empty for all."
    )
    enabled: bool = strawberry.field(description="Whether it is called at all.")
    disabled_reason: str | None = strawberry.field(description="Why it is not.")
    disabled_at: DateTime | None = strawberry.field(description="Since when it is not.")
    failing_since: DateTime | None = strawberry.field(
        description="Since when every attempt has failed; five days of it disable the webhook."
    )
    paused_until: DateTime | None = strawberry.field(
        description="Until when its circuit breaker keeps it from being called."
    )
    secret_expires_at: DateTime | None = strawberry.field(
        description="When the secret before the present one stops signing; null when there is none."
    )
    created_at: DateTime = strawberry.field(description="When it was created.")
    updated_at: DateTime = strawberry.field(description="When it was changed last.")


@strawberry.type(description="One request to a webhook, and what came of it.")
class DeliveryAttempt:
    """An attempt as shown."""

    at: DateTime = strawberry.field(description="When it was sent.")
    url: str = strawberry.field(description="Where it went.")
    request_headers: JSON = strawberry.field(description="Its headers, the signature included.")
    status: int | None = strawberry.field(description="Status of the answer; null without one.")
    error: str | None = strawberry.field(description="Why there is no answer.")
    response_headers: JSON = strawberry.field(description="Headers of the answer, at most 40.")
    response_body: str = strawberry.field(description="The answer's first 1,024 bytes.")
    seconds: float = strawberry.field(description="How long it took.")


@strawberry.type(description="One event for one webhook. Kept for 30 days.")
class WebhookDelivery(Node):
    """A delivery as shown."""

    webhook_id: strawberry.ID = strawberry.field(description="The webhook.")
    event_id: strawberry.ID = strawberry.field(
        description="The event's id: the `webhook-id` of each attempt, by which doubles are known."
    )
    type: WebhookEventType = strawberry.field(description="What it tells of.")
    position: BigInt = strawberry.field(
        description="The event's place in the namespace's log; 0 for a test."
    )
    status: DeliveryStatus = strawberry.field(description="Where it is.")
    attempt_count: int = strawberry.field(
        description="Attempts of the present schedule; at most 10."
    )
    not_before: DateTime | None = strawberry.field(
        description="When it is tried next; null when it is not."
    )
    attempts: list[DeliveryAttempt] = strawberry.field(description="The latest 20, in order.")
    created_at: DateTime = strawberry.field(description="When it was queued.")
    finished_at: DateTime | None = strawberry.field(description="When it ended.")


def show_webhook(model: WebhookModel) -> Webhook:
    """Return a webhook as shown; never its secrets."""
    older = [one.expires_at for one in model.secrets[1:] if one.live and one.expires_at]
    return Webhook(
        id=strawberry.ID(model.id),
        url=model.url,
        description=model.description,
        event_types=list(model.event_types),
        bucket_ids=[strawberry.ID(one) for one in model.bucket_ids],
        collection_ids=[strawberry.ID(one) for one in model.collection_ids],
        enabled=model.enabled,
        disabled_reason=model.disabled_reason,
        disabled_at=show_time(model.disabled_at),
        failing_since=show_time(model.failing_since),
        paused_until=show_time(model.breaker_until) if model.failures >= BREAKER_FAILURES else None,
        secret_expires_at=show_time(max(older, default=None)),
        created_at=DateTime(model.created_at),
        updated_at=DateTime(model.updated_at),
    )


def show_delivery(model: DeliveryModel) -> WebhookDelivery:
    """Return a delivery as shown."""
    waits = model.status == DeliveryStatus.PENDING
    return WebhookDelivery(
        id=strawberry.ID(model.id),
        webhook_id=strawberry.ID(model.webhook_id),
        event_id=strawberry.ID(model.event_id),
        type=model.type,
        position=BigInt(model.position),
        status=model.status,
        attempt_count=model.attempts,
        not_before=show_time(model.not_before) if waits else None,
        attempts=[_show_attempt(one) for one in model.log],
        created_at=DateTime(model.created_at),
        finished_at=show_time(model.finished_at),
    )


def _show_attempt(model: AttemptModel) -> DeliveryAttempt:
    return DeliveryAttempt(
        at=DateTime(model.at),
        url=model.url,
        request_headers=JSON(model.request_headers),
        status=model.status,
        error=model.error,
        response_headers=JSON(model.response_headers),
        response_body=model.response_body,
        seconds=model.seconds,
    )
