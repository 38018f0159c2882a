"""Webhooks that lead to a receiver of the test's, and things that happen for them to tell."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from models.delivery import Delivery
from models.egress import open_egress
from models.events import EventType, SubjectType, append_notice
from models.scope import Scope
from models.settings import EgressSettings, WebhookSettings
from models.stores import Stores
from models.webhook import Webhook
from tests.receiver import Receiver
from workers.couriers import deliver_due
from workers.events import publish
from workers.webhooks import WebhookDraft, open_webhook


@asynccontextmanager
async def reaching(
    stores: Stores, *receivers: Receiver, seconds: float = 10.0
) -> AsyncIterator[Stores]:
    """Return the stores with a way out to receivers of this machine, and so long for a request."""
    settings = EgressSettings.model_validate(
        {
            "allowed_ranges": ["127.0.0.0/8"],
            "ports": [receiver.port for receiver in receivers],
            "allow_http": True,
        }
    )
    changed = stores.settings.model_copy(
        update={"egress": settings, "webhooks": WebhookSettings(timeout_seconds=seconds)}
    )
    async with open_egress(settings) as egress:
        yield replace(stores, settings=changed, egress=egress)


async def hook(stores: Stores, scope: Scope, receiver: Receiver, **values: Any) -> Webhook:
    """Open a webhook that leads to a receiver."""
    return await open_webhook(stores, scope, WebhookDraft(url=receiver.url(), **values))


async def happen(
    stores: Stores,
    scope: Scope,
    count: int = 1,
    kind: EventType = EventType.OBJECT_CREATED,
    **values: Any,
) -> None:
    """Let something happen so many times, and give it its place in the log."""

    async def work(session: Any) -> None:
        for number in range(count):
            await append_notice(
                session,
                scope.namespace_id,
                kind,
                (SubjectType.BUCKET, "bkt_a"),
                data={"number": number},
                **values,
            )

    await stores.database.transaction(work)
    await publish(stores, scope.namespace_id)


async def deliveries(scope: Scope, webhook: Webhook) -> list[Delivery]:
    """Return a webhook's deliveries as they are now, oldest first."""
    return await scope.all(Delivery, {"webhook_id": webhook.id})


async def make_due(webhook: Webhook) -> None:
    """Let the waiting time of every delivery be over, and that of the breaker."""
    long_ago = Webhook.model_fields["breaker_until"].default
    await Delivery.get_pymongo_collection().update_many(
        {"webhook_id": webhook.id, "status": "PENDING"}, {"$set": {"not_before": long_ago}}
    )
    await Webhook.get_pymongo_collection().update_one(
        {"_id": webhook.id}, {"$set": {"breaker_until": long_ago, "lease_until": long_ago}}
    )


async def try_again(stores: Stores, webhook: Webhook, times: int = 1) -> None:
    """Make every attempt that would be made in time."""
    for _ in range(times):
        await make_due(webhook)
        await deliver_due(stores, webhook.id)
