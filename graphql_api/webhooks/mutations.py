"""Mutations of webhooks."""

import asyncio
from datetime import timedelta
from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.errors import user_error
from graphql_api.idempotency import once_only
from graphql_api.scalars import BigInt
from graphql_api.webhooks.inputs import (
    CreateWebhookInput,
    DeleteWebhookInput,
    RedeliverInput,
    RedeliverRangeInput,
    RotateWebhookSecretInput,
    TestWebhookInput,
    UpdateWebhookInput,
)
from graphql_api.webhooks.payloads import (
    CreateWebhookPayload,
    DeleteWebhookPayload,
    RedeliverPayload,
    RedeliverRangePayload,
    RotateWebhookSecretPayload,
    TestWebhookPayload,
    UpdateWebhookPayload,
)
from graphql_api.webhooks.types import show_delivery, show_webhook
from models.errors import StrataError
from models.webhook import Webhook
from workers.doorbell import ring_courier
from workers.webhooks import (
    change_webhook,
    open_webhook,
    redeliver,
    redeliver_range,
    remove_webhook,
    rotate_secret,
    send_test,
)


@strawberry.type
class WebhookMutation:
    """What can be done to webhooks."""

    @strawberry.mutation(description="Create a webhook. The answer holds its secret.")
    async def create_webhook(
        self,
        info: Info,
        input: Annotated[CreateWebhookInput, strawberry.argument(description="The webhook.")],
    ) -> CreateWebhookPayload | None:
        """Create a webhook."""
        stores, scope = info.context.stores, info.context.scope
        try:
            done = await once_only(
                info,
                input,
                lambda claim: open_webhook(stores, scope, input.draft(), claim=claim),
                lambda made: scope.require(Webhook, made["webhook_id"]),
            )
        except StrataError as error:
            return CreateWebhookPayload(webhook=None, secret=None, user_errors=[user_error(error)])
        return CreateWebhookPayload(
            webhook=show_webhook(done.value),
            secret=stores.seal.open(done.value.secrets[0].sealed),
            user_errors=[],
            replayed=done.replayed,
        )

    @strawberry.mutation(description="Change a webhook, disable or enable it.")
    async def update_webhook(
        self,
        info: Info,
        input: Annotated[UpdateWebhookInput, strawberry.argument(description="The changes.")],
    ) -> UpdateWebhookPayload | None:
        """Change a webhook."""
        stores, scope = info.context.stores, info.context.scope
        try:
            webhook = await change_webhook(stores, scope, input.webhook_id, input.draft())
        except StrataError as error:
            return UpdateWebhookPayload(webhook=None, user_errors=[user_error(error)])
        return UpdateWebhookPayload(webhook=show_webhook(webhook), user_errors=[])

    @strawberry.mutation(description="Forget a webhook and its deliveries.")
    async def delete_webhook(
        self,
        info: Info,
        input: Annotated[DeleteWebhookInput, strawberry.argument(description="Which.")],
    ) -> DeleteWebhookPayload | None:
        """Delete a webhook."""
        try:
            await remove_webhook(info.context.stores, info.context.scope, input.webhook_id)
        except StrataError as error:
            return DeleteWebhookPayload(deleted_webhook_id=None, user_errors=[user_error(error)])
        return DeleteWebhookPayload(deleted_webhook_id=input.webhook_id, user_errors=[])

    @strawberry.mutation(description="Send a webhook an ENDPOINT_TEST event, whatever it is told.")
    async def test_webhook(
        self,
        info: Info,
        input: Annotated[TestWebhookInput, strawberry.argument(description="Which.")],
    ) -> TestWebhookPayload | None:
        """Queue a test and ring for a courier."""
        try:
            delivery = await send_test(info.context.stores, info.context.scope, input.webhook_id)
        except StrataError as error:
            return TestWebhookPayload(delivery=None, user_errors=[user_error(error)])
        await asyncio.to_thread(ring_courier, delivery.webhook_id)
        return TestWebhookPayload(delivery=show_delivery(delivery), user_errors=[])

    @strawberry.mutation(description="Give a webhook another secret. The old one signs on a while.")
    async def rotate_webhook_secret(
        self,
        info: Info,
        input: Annotated[RotateWebhookSecretInput, strawberry.argument(description="Which.")],
    ) -> RotateWebhookSecretPayload | None:
        """Rotate a secret."""
        stores, scope = info.context.stores, info.context.scope
        overlap = timedelta(seconds=input.overlap_seconds)
        try:
            webhook = await rotate_secret(stores, scope, input.webhook_id, overlap=overlap)
        except StrataError as error:
            return RotateWebhookSecretPayload(
                webhook=None, secret=None, user_errors=[user_error(error)]
            )
        return RotateWebhookSecretPayload(
            webhook=show_webhook(webhook),
            secret=stores.seal.open(webhook.secrets[0].sealed),
            user_errors=[],
        )

    @strawberry.mutation(description="Try a delivery again now, with ten attempts of its own.")
    async def redeliver(
        self,
        info: Info,
        input: Annotated[RedeliverInput, strawberry.argument(description="Which.")],
    ) -> RedeliverPayload | None:
        """Redeliver one and ring for a courier."""
        try:
            delivery = await redeliver(info.context.scope, input.delivery_id)
        except StrataError as error:
            return RedeliverPayload(delivery=None, user_errors=[user_error(error)])
        await asyncio.to_thread(ring_courier, delivery.webhook_id)
        return RedeliverPayload(delivery=show_delivery(delivery), user_errors=[])

    @strawberry.mutation(description="Try the ended deliveries of a range of time again.")
    async def redeliver_range(
        self,
        info: Info,
        input: Annotated[RedeliverRangeInput, strawberry.argument(description="Which.")],
    ) -> RedeliverRangePayload | None:
        """Redeliver a range and ring for a courier."""
        try:
            count = await redeliver_range(
                info.context.scope,
                input.webhook_id,
                since=input.since,
                until=input.until,
                only_failed=input.only_failed,
            )
        except StrataError as error:
            return RedeliverRangePayload(
                redelivered_count=BigInt(0), user_errors=[user_error(error)]
            )
        await asyncio.to_thread(ring_courier, input.webhook_id)
        return RedeliverRangePayload(redelivered_count=BigInt(count), user_errors=[])
