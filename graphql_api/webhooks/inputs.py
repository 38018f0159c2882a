"""Inputs of webhooks."""

import strawberry

from graphql_api.idempotency import key_field
from graphql_api.scalars import DateTime
from graphql_api.webhooks.types import WebhookEventType
from workers.webhooks import WebhookDraft


@strawberry.input(description="A webhook to be created.")
class CreateWebhookInput:
    """Input of createWebhook."""

    url: str = strawberry.field(description="A public https address; at most 2,048 characters.")
    description: str = strawberry.field(default="", description="Free text, at most 500.")
    event_types: list[WebhookEventType] | None = strawberry.field(
        default=None, description="What to tell; all but BATCH_PROGRESS when absent."
    )
    bucket_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Only what concerns these buckets; at most 100."
    )
    collection_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Only what concerns these collections; at most 100."
    )
    idempotency_key: str | None = key_field()

    def draft(self) -> WebhookDraft:
        """Return the workers' form."""
        return WebhookDraft(
            url=self.url,
            description=self.description,
            event_types=self.event_types or [],
            bucket_ids=[str(one) for one in self.bucket_ids or []],
            collection_ids=[str(one) for one in self.collection_ids or []],
        )


@strawberry.input(description="Changes of a webhook; what is absent stays as it is.")
class UpdateWebhookInput:
    """Input of updateWebhook."""

    webhook_id: strawberry.ID = strawberry.field(description="The webhook.")
    url: str | None = strawberry.field(default=None, description="Another address.")
    description: str | None = strawberry.field(default=None, description="Free text.")
    event_types: list[WebhookEventType] | None = strawberry.field(
        default=None, description="What to tell; an empty list for all but BATCH_PROGRESS."
    )
    bucket_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Only these buckets; an empty list for all."
    )
    collection_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Only these collections; an empty list for all."
    )
    enabled: bool | None = strawberry.field(
        default=None, description="Whether to call it. Enabling forgets its failures."
    )

    def draft(self) -> WebhookDraft:
        """Return the workers' form."""
        buckets, collections = self.bucket_ids, self.collection_ids
        return WebhookDraft(
            url=self.url,
            description=self.description,
            event_types=self.event_types,
            bucket_ids=None if buckets is None else [str(one) for one in buckets],
            collection_ids=None if collections is None else [str(one) for one in collections],
            enabled=self.enabled,
        )


@strawberry.input(description="A webhook to be forgotten.")
class DeleteWebhookInput:
    """Input of deleteWebhook."""

    webhook_id: strawberry.ID = strawberry.field(description="The webhook.")


@strawberry.input(description="A webhook to be tried.")
class TestWebhookInput:
    """Input of testWebhook."""

    webhook_id: strawberry.ID = strawberry.field(description="The webhook.")


@strawberry.input(description="A webhook that gets another secret.")
class RotateWebhookSecretInput:
    """Input of rotateWebhookSecret."""

    webhook_id: strawberry.ID = strawberry.field(description="The webhook.")
    overlap_seconds: int = strawberry.field(
        default=86_400,
        description="How long the old secret signs beside the new one; 0 to 604,800.",
    )


@strawberry.input(description="A delivery to be tried again.")
class RedeliverInput:
    """Input of redeliver."""

    delivery_id: strawberry.ID = strawberry.field(description="The delivery.")


@strawberry.input(description="Deliveries to be tried again: those queued between two times.")
class RedeliverRangeInput:
    """Input of redeliverRange."""

    webhook_id: strawberry.ID = strawberry.field(description="The webhook.")
    since: DateTime = strawberry.field(description="The first moment of the range.")
    until: DateTime = strawberry.field(description="The first moment past the range.")
    only_failed: bool = strawberry.field(
        default=True, description="Whether deliveries that succeeded are left alone."
    )
