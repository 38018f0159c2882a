"""What clients do with webhooks: create, change, remove, rotate, test, deliver again."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from models.bucket import Bucket
from models.collection import Collection
from models.database import Session
from models.delivery import Delivery, DeliveryStatus, renew_deliveries
from models.errors import Conflict, InvalidInput, NotFound
from models.idempotency import Claim
from models.ids import new_id
from models.scope import Scope
from models.stored import now
from models.stores import Stores
from models.webhook import Webhook, WebhookEventType, WebhookSecret
from workers.deliveries import SECRET_PREFIX, enqueue_test
from workers.names import require_text

MAX_WEBHOOKS: Final = 100  # of a namespace
MAX_OVERLAP: Final = timedelta(days=7)
_SECRET_BYTES: Final = 32
_DESCRIPTION_LENGTH: Final = 500
_FILTERED: Final = 100  # ids of one filter
_LONG_AGO: Final = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class WebhookDraft:
    """A webhook as a client describes it; what is None stays as it is, or has its default."""

    url: str | None = None
    description: str | None = None
    event_types: list[WebhookEventType] | None = None
    bucket_ids: list[str] | None = None
    collection_ids: list[str] | None = None
    enabled: bool | None = None

    def values(self) -> dict[str, Any]:
        """Return what is to be changed."""
        return {name: value for name, value in vars(self).items() if value is not None}


async def open_webhook(
    stores: Stores, scope: Scope, draft: WebhookDraft, *, claim: Claim | None = None
) -> Webhook:
    """Create a webhook with its first secret.

    Raises:
        AddressRefused: the address may not be called.
        NotFound: a filter names what is not there.
        InvalidInput: a value is too long, or there are too many webhooks.
        Misconfigured: there is no key to seal its secret with.
    """
    if draft.url is None:
        raise InvalidInput("A webhook needs an address.", path=("url",))
    await _require_draft(stores, scope, draft)
    if await scope.count(Webhook) >= MAX_WEBHOOKS:
        raise InvalidInput(
            f"A namespace has at most {MAX_WEBHOOKS} webhooks.", hint="Delete one first."
        )
    webhook: Webhook = Webhook.model_validate(
        {
            "id": new_id("whk"),
            "namespace_id": scope.namespace_id,
            "secrets": [_new_secret(stores)],
            **draft.values(),
        }
    )

    async def insert(session: Session) -> None:
        await Webhook.get_pymongo_collection().insert_one(webhook.to_mongo(), session=session)

    await (claim or Claim()).commit(insert, webhook_id=webhook.id)
    return webhook


async def change_webhook(
    stores: Stores, scope: Scope, webhook_id: str, draft: WebhookDraft
) -> Webhook:
    """Change a webhook; enabling one that was disabled forgets its failures.

    Raises:
        NotFound: no such webhook, or a filter names what is not there.
        AddressRefused, InvalidInput: as for a new one.
    """
    before = await scope.require(Webhook, webhook_id, path=("webhookId",))
    await _require_draft(stores, scope, draft)
    values: dict[str, Any] = {**draft.values(), "updated_at": now()}
    if draft.enabled and not before.enabled:
        values |= {
            "disabled_reason": None, "disabled_at": None, "failures": 0, "failing_since": None,
            "breaker_until": _LONG_AGO,
        }  # fmt: skip
    elif draft.enabled is False and before.enabled:
        values |= {"disabled_reason": "Disabled on request.", "disabled_at": now()}
    await _update(scope, webhook_id, {"$set": values})
    return await scope.require(Webhook, webhook_id)


async def remove_webhook(stores: Stores, scope: Scope, webhook_id: str) -> None:
    """Forget a webhook and its deliveries; raises NotFound."""
    await scope.require(Webhook, webhook_id, path=("webhookId",))

    async def work(session: Session) -> None:
        await Webhook.get_pymongo_collection().delete_one({"_id": webhook_id}, session=session)

    await stores.database.transaction(work)
    await Delivery.get_pymongo_collection().delete_many({"webhook_id": webhook_id})


async def rotate_secret(
    stores: Stores, scope: Scope, webhook_id: str, *, overlap: timedelta
) -> Webhook:
    """Give a webhook another secret; both sign until the overlap is over.

    Raises:
        NotFound: no such webhook.
        InvalidInput: the overlap is negative or longer than a week.
        Conflict: somebody else rotated at the same moment.
        Misconfigured: there is no key to seal the secret with.
    """
    if not timedelta() <= overlap <= MAX_OVERLAP:
        raise InvalidInput(
            f"An overlap is 0 to {int(MAX_OVERLAP.total_seconds())} seconds.",
            path=("overlapSeconds",),
        )
    webhook = await scope.require(Webhook, webhook_id, path=("webhookId",))
    ending = now() + overlap
    kept = [
        one.model_copy(update={"expires_at": min(one.expires_at or ending, ending)})
        for one in webhook.live_secrets
        if overlap
    ]
    fresh = [_new_secret(stores), *kept]
    rotated = await _update(
        scope,
        webhook_id,
        {"$set": {"secrets": [one.model_dump() for one in fresh], "updated_at": now()}},
        {"secrets.0.sealed": webhook.secrets[0].sealed},
    )
    if not rotated:
        raise Conflict("The secret was rotated at the same moment.", hint="Rotate it again.")
    return await scope.require(Webhook, webhook_id)


async def send_test(stores: Stores, scope: Scope, webhook_id: str) -> Delivery:
    """Queue a delivery that tells of nothing.

    Raises:
        NotFound: no such webhook.
        Conflict: the webhook is disabled, so nothing would be sent.
    """
    webhook = await _require_enabled(scope, webhook_id)
    return await stores.database.transaction(lambda session: enqueue_test(session, webhook))


async def redeliver(scope: Scope, delivery_id: str) -> Delivery:
    """Make a delivery due again, with a schedule of its own; one that waits is due at once.

    Raises:
        NotFound: no such delivery.
        Conflict: its webhook is disabled.
    """
    delivery = await scope.require(Delivery, delivery_id, path=("deliveryId",))
    await _require_enabled(scope, delivery.webhook_id)
    await renew_deliveries({"_id": delivery.id})
    return await scope.require(Delivery, delivery_id)


async def redeliver_range(
    scope: Scope, webhook_id: str, *, since: datetime, until: datetime, only_failed: bool
) -> int:
    """Make ended deliveries of events between two times due again; return how many.

    Raises:
        NotFound: no such webhook.
        InvalidInput: the range is empty.
        Conflict: the webhook is disabled.
    """
    if since >= until:
        raise InvalidInput("The range is empty: `since` is not before `until`.", path=("since",))
    webhook = await _require_enabled(scope, webhook_id)
    ended = [DeliveryStatus.FAILED] if only_failed else [*DeliveryStatus]
    return await renew_deliveries(
        {
            "namespace_id": scope.namespace_id,
            "webhook_id": webhook.id,
            "status": {"$in": [str(one) for one in ended if one != DeliveryStatus.PENDING]},
            "created_at": {"$gte": since, "$lt": until},
        }
    )


async def _require_enabled(scope: Scope, webhook_id: str) -> Webhook:
    webhook = await scope.require(Webhook, webhook_id, path=("webhookId",))
    if not webhook.enabled:
        raise Conflict(
            f"Webhook {webhook_id} is disabled: {webhook.disabled_reason}",
            path=("webhookId",),
            hint="Enable it with updateWebhook.",
        )
    return webhook


async def _require_draft(stores: Stores, scope: Scope, draft: WebhookDraft) -> None:
    if draft.description is not None:
        require_text(draft.description, path=("description",))
        if len(draft.description) > _DESCRIPTION_LENGTH:
            raise InvalidInput(
                f"A description has at most {_DESCRIPTION_LENGTH} characters.",
                path=("description",),
            )
    await _require_all(scope, Bucket, draft.bucket_ids or [], "bucketIds")
    await _require_all(scope, Collection, draft.collection_ids or [], "collectionIds")
    if draft.url is not None:
        await stores.egress.require(draft.url, path=("url",))


async def _require_all(
    scope: Scope, model: type[Bucket] | type[Collection], ids: list[str], field: str
) -> None:
    if len(ids) > _FILTERED:
        raise InvalidInput(f"A filter has at most {_FILTERED} ids.", path=(field,))
    found = await scope.find_many(model, ids)
    for place, item_id in enumerate(ids):
        if item_id not in found:
            raise NotFound(
                f"No {model.__name__.lower()} {item_id!r} here.", path=(field, str(place))
            )


async def _update(
    scope: Scope,
    webhook_id: str,
    change: Mapping[str, Any],
    match: Mapping[str, Any] | None = None,
) -> bool:
    result = await Webhook.get_pymongo_collection().update_one(
        {"_id": webhook_id, "namespace_id": scope.namespace_id, **(match or {})}, change
    )
    return result.matched_count == 1


def _new_secret(stores: Stores) -> WebhookSecret:
    public = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    return WebhookSecret(sealed=stores.seal.close(public))
