"""Actors that see to one webhook."""

import dramatiq

from workers.resources import resources

_MINUTE_MS = 60_000


@dramatiq.actor(actor_name="webhook.deliver", queue_name="webhooks", time_limit=_MINUTE_MS)
async def deliver_webhook(webhook_id: str) -> None:
    """Wake the webhook's courier, which works beside: an endpoint may take its time."""
    resources().couriers.wake(webhook_id)
