"""What a webhook is sent, and what follows from its answer.

Bodies are signed by the Standard Webhooks specification: `webhook-id` is the event's id and stays,
`webhook-timestamp` is the attempt's time, `webhook-signature` holds one HMAC-SHA256 over
`id.timestamp.body` for each live secret. Order is not promised: the body carries the event's
position and, for a batch, its sequence.
"""

import base64
import hmac
import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from models import metrics
from models.database import Session
from models.delivery import (
    Attempt,
    Delivery,
    DeliveryStatus,
    Payload,
    begin_attempt,
    end_attempt,
    insert_deliveries,
    read_body,
)
from models.egress import Answer
from models.errors import AddressRefused, AddressUnavailable, Misconfigured
from models.events import Entry, Event
from models.failpoints import Failpoint, reach
from models.ids import new_id
from models.logs import bound
from models.stored import now
from models.stores import Stores
from models.traces import span_below, traceparent
from models.webhook import (
    DISABLE_AFTER_DAYS,
    Webhook,
    WebhookEventType,
    disable_webhook,
    note_failure,
    note_success,
    public_type,
    read_enabled_webhooks,
)

SECRET_PREFIX: Final = "whsec_"  # and base64, of 24 to 64 random bytes
_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
# Before the first attempt, the second, and so on: 75.6 hours in all.
SCHEDULE: Final = (
    0, 5, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR,
    24 * _HOUR,
)  # fmt: skip
JITTER: Final = 0.2  # of a delay, either way
MAX_RETRY_AFTER: Final = SCHEDULE[-1]
_SLOW_DOWN: Final = frozenset({429, 502, 503, 504})
_GONE: Final = 410
_READ_BYTES: Final = 64 * 1024
_LOGGED_BYTES: Final = 1024
_LOGGED_HEADERS: Final = 40
_LEASE_SECONDS: Final = 60.0  # of an attempt, which takes a quarter of it at most


async def enqueue_deliveries(
    session: Session, namespace_id: str, entries: Sequence[Entry]
) -> set[str]:
    """Write a delivery for each entry and each webhook that wants it; return those webhooks."""
    webhooks = await read_enabled_webhooks(session, namespace_id)
    payloads: dict[str, Payload] = {}
    deliveries: list[Delivery] = []
    for entry in _without_passed_progress(entries) if webhooks else ():
        kind = public_type(entry)
        for webhook in webhooks:
            if kind is not None and webhook.wants(entry):
                payloads.setdefault(entry.id, _payload(entry, kind))
                made = _delivery(webhook, entry.id, kind, entry.position)
                deliveries.append(made.model_copy(update={"trace": entry.trace}))
    await insert_deliveries(session, list(payloads.values()), deliveries)
    return {delivery.webhook_id for delivery in deliveries}


def _without_passed_progress(entries: Sequence[Entry]) -> Iterable[Entry]:
    """Leave out progress that later progress of the same batch has overtaken already."""
    latest = {
        entry.batch_id: entry.id
        for entry in entries
        if isinstance(entry, Event) and public_type(entry) == WebhookEventType.BATCH_PROGRESS
    }
    for entry in entries:
        passed = isinstance(entry, Event) and latest.get(entry.batch_id, entry.id) != entry.id
        if not passed or public_type(entry) != WebhookEventType.BATCH_PROGRESS:
            yield entry


def _delivery(webhook: Webhook, event_id: str, kind: WebhookEventType, position: int) -> Delivery:
    return Delivery(
        id=new_id("dlv"),
        namespace_id=webhook.namespace_id,
        webhook_id=webhook.id,
        event_id=event_id,
        type=kind,
        position=position,
    )


def _payload(entry: Entry, kind: WebhookEventType) -> Payload:
    subject_type, subject_id = entry.subject
    body = {
        "type": str(kind),
        "timestamp": _time(entry.at),
        "id": entry.id,
        "namespaceId": entry.namespace_id,
        "position": entry.position,
        "subject": {"type": str(subject_type), "id": subject_id},
        "data": {**_batch_data(entry), **entry.data},
    }
    return Payload(id=entry.id, namespace_id=entry.namespace_id, body=orjson.dumps(body))


def _batch_data(entry: Entry) -> dict[str, Any]:
    if not isinstance(entry, Event):
        return {}
    return {
        "batchId": entry.batch_id,
        "bucketId": entry.bucket_id,
        "sequence": entry.sequence,
        "status": str(entry.status),
        "counts": {_camel(name): value for name, value in entry.counts.items()},
        "blocksTotal": entry.blocks_total,
        "blocksOpen": entry.blocks_open,
    }


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def enqueue_test(session: Session, webhook: Webhook) -> Delivery:
    """Write a delivery that tells of nothing."""
    event_id, moment = new_id("evt"), now()
    body = {
        "type": str(WebhookEventType.ENDPOINT_TEST),
        "timestamp": _time(moment),
        "id": event_id,
        "namespaceId": webhook.namespace_id,
        "subject": {"type": "WEBHOOK", "id": webhook.id},
        "data": {"webhookId": webhook.id},
    }
    payload = Payload(id=event_id, namespace_id=webhook.namespace_id, body=orjson.dumps(body))
    delivery = _delivery(webhook, event_id, WebhookEventType.ENDPOINT_TEST, 0)
    await insert_deliveries(session, [payload], [delivery])
    return delivery


def sign(secrets: Sequence[str], event_id: str, timestamp: int, body: bytes) -> str:
    """Return the signatures of a body, one for each secret."""
    content = f"{event_id}.{timestamp}.".encode() + body
    digests = [
        hmac.digest(base64.b64decode(one.removeprefix(SECRET_PREFIX)), content, "sha256")
        for one in secrets
    ]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


async def deliver(stores: Stores, webhook: Webhook, delivery: Delivery) -> bool:
    """Make one attempt and write down what came of it; False when the webhook failed."""
    begun = await begin_attempt(delivery, lease_seconds=_LEASE_SECONDS)
    if begun is None:
        return True
    await reach(Failpoint.DELIVERY_BEGUN)
    body = await read_body(begun)
    if body is None:
        attempt = Attempt(url=webhook.url, request_headers={}, error="The body is kept no longer.")
        await end_attempt(begun, attempt, _ended(DeliveryStatus.FAILED))
        return True
    with (
        bound(webhook_id=webhook.id, delivery_id=delivery.id),
        span_below("webhook.deliver", delivery.trace, webhook_id=webhook.id),
    ):
        attempt = await _send(stores, webhook, begun, body)
    await reach(Failpoint.DELIVERY_SENT)
    metrics.DELIVERY_SECONDS.observe(attempt.seconds)
    if attempt.status is not None and 200 <= attempt.status < 300:
        await end_attempt(begun, attempt, _ended(DeliveryStatus.DELIVERED))
        await reach(Failpoint.DELIVERY_ENDED)
        await note_success(webhook.id)
        metrics.DELIVERIES.labels("delivered").inc()
        return True
    after = _after_failure(begun, attempt)
    metrics.DELIVERIES.labels("given_up" if "status" in after else "failed").inc()
    await end_attempt(begun, attempt, after)
    await _judge(stores, webhook, attempt)
    return False


async def _send(stores: Stores, webhook: Webhook, delivery: Delivery, body: bytes) -> Attempt:
    moment = now()
    attempt = Attempt(at=moment, url=webhook.url, request_headers={})
    try:
        headers = _headers(stores, webhook, delivery, body, moment)
        attempt = attempt.model_copy(update={"request_headers": headers})
        answer = await stores.egress.post(
            webhook.url,
            body,
            headers=headers,
            seconds=stores.settings.webhooks.timeout_seconds,
            keep=_READ_BYTES,
        )
    except (AddressRefused, AddressUnavailable, Misconfigured) as error:
        spent = (now() - moment).total_seconds()
        return attempt.model_copy(update={"error": error.message, "seconds": spent})
    return attempt.model_copy(update=_logged(answer))


def _headers(
    stores: Stores, webhook: Webhook, delivery: Delivery, body: bytes, moment: datetime
) -> dict[str, str]:
    """Return the headers of a request; raises Misconfigured when a secret cannot be opened."""
    timestamp = int(moment.timestamp())
    live = [stores.seal.open(one.sealed) for one in webhook.live_secrets]
    headers = {
        "content-type": "application/json",
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(live, delivery.event_id, timestamp, body),
    }
    if (trace := traceparent()) is not None:
        headers["traceparent"] = trace
    return headers


def _logged(answer: Answer) -> dict[str, Any]:
    return {
        "status": answer.status,
        "response_headers": dict(list(answer.headers.items())[:_LOGGED_HEADERS]),
        "response_body": answer.body[:_LOGGED_BYTES].decode(errors="replace"),
        "seconds": round(answer.seconds, 4),
    }


def _ended(status: DeliveryStatus) -> dict[str, Any]:
    return {"status": str(status), "finished_at": now()}


def _after_failure(delivery: Delivery, attempt: Attempt) -> dict[str, Any]:
    if attempt.status == _GONE or delivery.attempts >= len(SCHEDULE):
        return _ended(DeliveryStatus.FAILED)
    delay = SCHEDULE[delivery.attempts] * random.uniform(1 - JITTER, 1 + JITTER)
    if attempt.status in _SLOW_DOWN:
        asked = parse_retry_after(attempt.response_headers.get("retry-after", ""))
        delay = max(delay, asked)
    return {"not_before": now() + timedelta(seconds=delay)}


def parse_retry_after(text: str) -> float:
    """Return the seconds that a receiver asks for, within bounds; 0 for nonsense."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:12]), MAX_RETRY_AFTER))
    try:
        asked = (parsedate_to_datetime(text) - now()).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(asked, 0.0), MAX_RETRY_AFTER)


async def _judge(stores: Stores, webhook: Webhook, attempt: Attempt) -> None:
    """Count a failure, and disable a webhook that is gone or has failed for days."""
    failed = await note_failure(webhook.id)
    if failed is None:
        return
    since = failed.failing_since or now()
    if attempt.status == _GONE:
        reason = "The endpoint answered 410 Gone."
    elif now() - since >= timedelta(days=DISABLE_AFTER_DAYS):
        reason = f"Every attempt has failed for {DISABLE_AFTER_DAYS} days."
    else:
        return
    if await stores.database.transaction(lambda session: disable_webhook(session, failed, reason)):
        await stores.bus.announce_log(webhook.namespace_id)
