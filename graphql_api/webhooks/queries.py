"""Queries of webhooks and deliveries."""

from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.listing import list_page
from graphql_api.pagination import After, Before, Connection, First, Last
from graphql_api.webhooks.types import Webhook, WebhookDelivery, show_delivery, show_webhook
from models.delivery import Delivery as DeliveryModel
from models.delivery import DeliveryStatus
from models.webhook import Webhook as WebhookModel


@strawberry.type
class WebhookQuery:
    """What there is to read of webhooks."""

    @strawberry.field(description="One webhook, or null.")
    async def webhook(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Id of the webhook.")],
    ) -> Webhook | None:
        """Return a webhook."""
        found = await info.context.scope.find(WebhookModel, id)
        return None if found is None else show_webhook(found)

    @strawberry.field(description="The namespace's webhooks, oldest first.")
    async def webhooks(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Webhook] | None:
        """List webhooks."""
        return await list_page(
            info.context, WebhookModel, show_webhook, kind="webhooks",
            first=first, after=after, last=last, before=before,
        )  # fmt: skip

    @strawberry.field(description="One delivery, or null.")
    async def webhook_delivery(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Id of the delivery.")],
    ) -> WebhookDelivery | None:
        """Return a delivery."""
        found = await info.context.scope.find(DeliveryModel, id)
        return None if found is None else show_delivery(found)

    @strawberry.field(description="A webhook's deliveries of the last 30 days, newest first.")
    async def webhook_deliveries(
        self,
        info: Info,
        webhook_id: Annotated[strawberry.ID, strawberry.argument(description="The webhook.")],
        status: Annotated[
            DeliveryStatus | None, strawberry.argument(description="Only these.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[WebhookDelivery] | None:
        """List deliveries."""
        match = {"webhook_id": str(webhook_id), **({"status": str(status)} if status else {})}
        return await list_page(
            info.context, DeliveryModel, show_delivery,
            kind=f"deliveries:{webhook_id}:{status or ''}", match=match, newest_first=True,
            first=first, after=after, last=last, before=before,
        )  # fmt: skip
