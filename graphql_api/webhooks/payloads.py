"""Answers to the mutations of webhooks."""

import strawberry

from graphql_api.errors import UserError
from graphql_api.idempotency import replayed_field
from graphql_api.payload import Payload
from graphql_api.scalars import BigInt
from graphql_api.webhooks.types import Webhook, WebhookDelivery


@strawberry.type(description="Answer to createWebhook.")
class CreateWebhookPayload(Payload):
    """What came of it."""

    webhook: Webhook | None = strawberry.field(description="The new webhook.")
    secret: str | None = strawberry.field(
        description="What requests are signed with (`whsec_...`). Shown here only."
    )
    user_errors: list[UserError] = strawberry.field(description="Why nothing was created.")
    replayed: bool = replayed_field()


@strawberry.type(description="Answer to updateWebhook.")
class UpdateWebhookPayload(Payload):
    """What came of it."""

    webhook: Webhook | None = strawberry.field(description="The webhook as it is now.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was changed.")


@strawberry.type(description="Answer to deleteWebhook.")
class DeleteWebhookPayload(Payload):
    """What came of it."""

    deleted_webhook_id: strawberry.ID | None = strawberry.field(description="What is gone.")
    user_errors: list[UserError] = strawberry.field(description="Why it was not deleted.")


@strawberry.type(description="Answer to testWebhook.")
class TestWebhookPayload(Payload):
    """What came of it."""

    delivery: WebhookDelivery | None = strawberry.field(
        description="The delivery; read it again for its outcome."
    )
    user_errors: list[UserError] = strawberry.field(description="Why nothing is sent.")


@strawberry.type(description="Answer to rotateWebhookSecret.")
class RotateWebhookSecretPayload(Payload):
    """What came of it."""

    webhook: Webhook | None = strawberry.field(description="The webhook.")
    secret: str | None = strawberry.field(description="The new secret. Shown here only.")
    user_errors: list[UserError] = strawberry.field(description="Why nothing was changed.")


@strawberry.type(description="Answer to redeliver.")
class RedeliverPayload(Payload):
    """What came of it."""

    delivery: WebhookDelivery | None = strawberry.field(description="The delivery, due now.")
    user_errors: list[UserError] = strawberry.field(description="Why it is not tried again.")


@strawberry.type(description="Answer to redeliverRange.")
class RedeliverRangePayload(Payload):
    """What came of it."""

    redelivered_count: BigInt = strawberry.field(description="How many are due again.")
    user_errors: list[UserError] = strawberry.field(description="Why none is tried again.")
