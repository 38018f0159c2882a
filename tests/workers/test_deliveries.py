"""S36 to S39: endpoints that fail in every way, and what is sent to them."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from models.delivery import Delivery, DeliveryStatus, end_attempt
from models.event_log import read_entries
from models.events import EventType
from models.stored import now
from models.stores import Stores
from models.webhook import (
    BREAKER_FAILURES,
    Webhook,
    WebhookEventType,
    public_type,
)
from tests.fixtures.stores import NamespaceOfTest
from tests.receiver import (
    Received,
    Receiver,
    Reply,
    answer,
    babble,
    drip,
    flood,
    hang,
    in_turn,
    open_receiver,
)
from tests.workers.hooks import deliveries, happen, hook, make_due, reaching, try_again
from tests.workers.jobs import before, inline_engine, open_job, submit
from workers.batches import reconcile
from workers.couriers import CONCURRENCY, Couriers, deliver_due
from workers.deliveries import JITTER, MAX_RETRY_AFTER, SCHEDULE, parse_retry_after, sign
from workers.events import publish
from workers.webhooks import WebhookDraft, change_webhook, redeliver_range, rotate_secret

IDS = "webhook-id"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as opened:
        yield opened


@pytest.fixture
async def reached(stores: Stores, receiver: Receiver) -> AsyncIterator[Stores]:
    async with reaching(stores, receiver) as changed:
        yield changed


def secret_of(stores: Stores, webhook: Webhook) -> str:
    return stores.seal.open(webhook.secrets[0].sealed)


def verify(webhook_secret: str, received: Received) -> Any:
    """Check a request as a receiver would, with the specification's own library."""
    return Verifier(webhook_secret).verify(received.body, received.headers)


def verifies(webhook_secret: str, received: Received) -> bool:
    try:
        verify(webhook_secret, received)
    except (WebhookVerificationError, ValueError):
        return False
    return True


async def test_a_batch_is_told_of_in_signed_requests(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    job = await open_job(reached, namespace.scope)
    await publish(reached, namespace.id)  # what came before nobody is told of
    webhook = await hook(reached, namespace.scope, receiver)
    await submit(reached, job)
    async with inline_engine(reached) as engine, asyncio.timeout(20):
        while (await job.batch()).status != "COMPLETED":
            await reconcile(reached, engine, job.batch_id)
            await asyncio.sleep(0.02)
    await publish(reached, namespace.id)

    await deliver_due(reached, webhook.id)

    told = [verify(secret_of(reached, webhook), one) for one in receiver.requests]
    kinds = ["batch.queued", "batch.processing", "collection.documents.written"]
    kinds += ["collection.schema_changed", "tier.completed", "batch.completed"]
    assert sorted(one["type"] for one in told) == sorted(kinds)
    (done,) = [one for one in told if one["type"] == "batch.completed"]
    assert (done["namespaceId"], done["subject"]) == (
        namespace.id,
        {"type": "BATCH", "id": job.batch_id},
    )
    batch = await job.batch()
    assert (done["data"]["sequence"], done["data"]["status"]) == (batch.sequence, "COMPLETED")
    assert done["data"]["counts"]["documentsWritten"] == 3
    assert {one.headers[IDS] for one in receiver.requests} == {one["id"] for one in told}
    states = {one.status for one in await deliveries(namespace.scope, webhook)}
    assert states == {DeliveryStatus.DELIVERED}


async def test_an_event_is_queued_once_for_each_webhook_that_wants_it(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    scope = namespace.scope
    everything = await hook(reached, scope, receiver)
    typed = await hook(reached, scope, receiver, event_types=[WebhookEventType.OBJECT_DELETED])
    bucket = await hook(reached, scope, receiver)
    collection = await hook(reached, scope, receiver)
    for one, values in (
        (bucket, {"bucket_ids": ["bkt_b"]}),
        (collection, {"collection_ids": ["col_a"]}),
    ):
        await Webhook.get_pymongo_collection().update_one({"_id": one.id}, {"$set": values})

    await happen(reached, scope, kind=EventType.OBJECT_CREATED, bucket_id="bkt_a")
    await happen(reached, scope, kind=EventType.OBJECT_DELETED, bucket_id="bkt_b")
    await happen(reached, scope, kind=EventType.DOCUMENTS_WRITTEN, collection_ids=["col_a"])
    await asyncio.gather(*(publish(reached, namespace.id) for _ in range(4)))

    found = {
        name: [str(one.type) for one in await deliveries(scope, webhook)]
        for name, webhook in (
            ("everything", everything), ("typed", typed), ("bucket", bucket),
            ("collection", collection),
        )
    }  # fmt: skip
    assert found == {
        "everything": ["object.created", "object.deleted", "collection.documents.written"],
        "typed": ["object.deleted"],
        "bucket": ["object.deleted"],
        "collection": ["collection.documents.written"],
    }


async def test_s7_a_publisher_that_dies_leaves_no_webhook_untold(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    webhook = await hook(reached, namespace.scope, receiver)
    await open_job(reached, namespace.scope)
    steps = itertools.count()

    async def die() -> None:
        if next(steps) > 0:  # the first has given everything its place
            raise ProcessLookupError

    with pytest.raises(ProcessLookupError):
        await publish(before(reached, "database", "transaction", die), namespace.id)
    await publish(reached, namespace.id)

    entries = await read_entries(namespace.id, after=0, limit=100)
    wanted = [one.id for one in entries if public_type(one) and webhook.wants(one)]
    queued = [one.event_id for one in await deliveries(namespace.scope, webhook)]
    assert wanted
    assert sorted(queued) == sorted(wanted)


async def test_progress_is_sent_on_request_and_only_the_latest(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    plain = await hook(reached, namespace.scope, receiver)
    asked = await hook(
        reached, namespace.scope, receiver, event_types=[WebhookEventType.BATCH_PROGRESS]
    )
    job = await open_job(reached, namespace.scope, objects=40)
    await submit(reached, job)
    async with inline_engine(reached) as engine, asyncio.timeout(20):
        while (await job.batch()).status != "COMPLETED":
            await reconcile(reached, engine, job.batch_id)
            await asyncio.sleep(0.02)
    await publish(reached, namespace.id)

    kinds = [str(one.type) for one in await deliveries(namespace.scope, plain)]
    assert "batch.progress" not in kinds
    (progress,) = await deliveries(namespace.scope, asked)
    entries = await read_entries(namespace.id, after=0, limit=1000)
    blocks = [entry.id for entry in entries if entry.type == EventType.BLOCK_DONE]
    assert (len(blocks), progress.event_id) == (3, blocks[-1])


async def test_s36_a_server_error_is_tried_again_by_the_schedule_under_one_id(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    receiver.reply = answer(500, b"oh")
    webhook = await hook(reached, namespace.scope, receiver)
    await happen(reached, namespace.scope)
    waits: list[float] = []

    for _ in SCHEDULE:
        before = now()
        await try_again(reached, webhook)
        (delivery,) = await deliveries(namespace.scope, webhook)
        waits.append((delivery.not_before - before).total_seconds())

    for wait, delay in zip(waits, SCHEDULE[1:], strict=False):
        assert delay * (1 - JITTER) <= wait <= delay * (1 + JITTER) + 5
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.FAILED, len(SCHEDULE))
    assert {(one.headers[IDS], one.body) for one in receiver.requests} == {
        (delivery.event_id, receiver.requests[0].body)
    }
    logged = delivery.log[-1]
    assert (logged.status, logged.response_body, logged.url) == (500, "oh", receiver.url())
    await try_again(reached, webhook)
    assert len(receiver.requests) == len(SCHEDULE)


def test_the_schedule_is_the_one_that_is_published() -> None:
    assert len(SCHEDULE) == 10
    assert round(sum(SCHEDULE) / 3600, 1) == 75.6


async def test_s36_a_success_after_failures_ends_the_delivery(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    receiver.reply = in_turn(answer(500), answer(503), answer(204))
    webhook = await hook(reached, namespace.scope, receiver)
    await happen(reached, namespace.scope)

    await try_again(reached, webhook, times=4)

    (delivery,) = await deliveries(namespace.scope, webhook)
    assert [one.status for one in delivery.log] == [500, 503, 204]
    assert delivery.status == DeliveryStatus.DELIVERED
    after = await namespace.scope.require(Webhook, webhook.id)
    assert (after.failures, after.failing_since) == (0, None)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (hang, "The server did not answer in time."),
        (drip, "The server did not answer in time."),
        (babble, "The server does not speak HTTP."),
        (answer(301, location="http://127.0.0.1:1/"), None),
        (answer(404), None),
    ],
    ids=["hangs", "drips", "babbles", "redirects", "says no"],
)
async def test_s36_an_answer_that_is_none_is_a_failure(
    stores: Stores, receiver: Receiver, namespace: NamespaceOfTest, reply: Reply, error: str | None
) -> None:
    receiver.reply = reply
    seconds = 0.4 if error and "in time" in error else 10.0
    async with reaching(stores, receiver, seconds=seconds) as reached:
        webhook = await hook(reached, namespace.scope, receiver)
        await happen(reached, namespace.scope)

        await try_again(reached, webhook)

    (delivery,) = await deliveries(namespace.scope, webhook)
    assert (delivery.status, delivery.log[0].error) == (DeliveryStatus.PENDING, error)
    assert delivery.not_before > now()
    assert len(receiver.requests) == 1


async def test_s36_ten_gigabytes_of_answer_are_a_success_of_which_little_is_kept(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    receiver.reply = flood
    webhook = await hook(reached, namespace.scope, receiver)
    await happen(reached, namespace.scope)

    await try_again(reached, webhook)

    (delivery,) = await deliveries(namespace.scope, webhook)
    assert (delivery.status, len(delivery.log[0].response_body)) == ("DELIVERED", 1024)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3600", 3600), ("-1", 0), ("1000000000", MAX_RETRY_AFTER), ("x", 0), ("", 0),
     ("9" * 99, MAX_RETRY_AFTER), ("1e3", 0), ("\u0663", 0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
     ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER), ("nan", 0)],
)  # fmt: skip
def test_s36_retry_after_is_heeded_within_bounds(text: str, seconds: float) -> None:
    assert parse_retry_after(text) == seconds


async def test_s36_a_receiver_that_asks_for_time_gets_it(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    receiver.reply = answer(429, retry_after="3600")
    webhook = await hook(reached, namespace.scope, receiver)
    await happen(reached, namespace.scope)

    before = now()
    await try_again(reached, webhook)

    (delivery,) = await deliveries(namespace.scope, webhook)
    assert timedelta(0) <= delivery.not_before - before - timedelta(hours=1) < timedelta(seconds=30)


async def test_s36_gone_disables_at_once_and_the_others_are_told(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    async with open_receiver() as other, reaching(reached, receiver, other) as both:
        receiver.reply = answer(410)
        gone = await hook(both, namespace.scope, receiver)
        kind = WebhookEventType.ENDPOINT_DISABLED
        watching = await hook(both, namespace.scope, other, event_types=[kind])
        await happen(both, namespace.scope, 3)

        await try_again(both, gone)
        await publish(both, namespace.id)
        await try_again(both, watching)

        after = await namespace.scope.require(Webhook, gone.id)
        assert (after.enabled, after.disabled_reason) == (False, "The endpoint answered 410 Gone.")
        (told,) = [json.loads(one.body) for one in other.requests]
    assert told["data"]["webhookId"] == gone.id
    sent = len(receiver.requests)
    await happen(both, namespace.scope)
    await try_again(both, gone)
    assert len(receiver.requests) == sent <= CONCURRENCY


async def test_five_days_of_failure_disable_and_enabling_begins_anew(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    receiver.reply = in_turn(answer(500), answer(500), answer(200))
    webhook = await hook(reached, namespace.scope, receiver)
    await happen(reached, namespace.scope)
    await try_again(reached, webhook)
    assert (await namespace.scope.require(Webhook, webhook.id)).enabled
    five_days = {"failing_since": now() - timedelta(days=5)}
    await Webhook.get_pymongo_collection().update_one({"_id": webhook.id}, {"$set": five_days})

    await try_again(reached, webhook)
    disabled = await namespace.scope.require(Webhook, webhook.id)
    await change_webhook(reached, namespace.scope, webhook.id, WebhookDraft(enabled=True))
    await try_again(reached, webhook)

    assert disabled.disabled_reason == "Every attempt has failed for 5 days."
    (delivery,) = await deliveries(namespace.scope, webhook)
    assert delivery.status == DeliveryStatus.DELIVERED
    await publish(reached, namespace.id)
    kinds = [one.type for one in await read_entries(namespace.id, after=0, limit=10)]
    assert kinds.count(EventType.ENDPOINT_DISABLED) == 1


async def test_s37_a_sender_killed_before_it_wrote_the_outcome_sends_the_same_again(
    reached: Stores,
    receiver: Receiver,
    namespace: NamespaceOfTest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    webhook = await hook(reached, namespace.scope, receiver)
    await happen(reached, namespace.scope)

    async def die(*_: object) -> bool:
        raise ProcessLookupError

    monkeypatch.setattr("workers.deliveries.end_attempt", die)
    with pytest.raises(ExceptionGroup):
        await deliver_due(reached, webhook.id)
    monkeypatch.setattr("workers.deliveries.end_attempt", end_attempt)
    await deliver_due(reached, webhook.id)
    assert len(receiver.requests) == 1  # the attempt may still be under way
    await try_again(reached, webhook, times=3)

    (delivery,) = await deliveries(namespace.scope, webhook)
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.DELIVERED, 2)
    first, second = receiver.requests
    assert (first.headers[IDS], first.body) == (second.headers[IDS], second.body)


async def test_s38_both_secrets_sign_during_the_overlap_and_the_new_one_after_it(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    receiver.reply = answer(500)
    webhook = await hook(reached, namespace.scope, receiver)
    other = await hook(reached, namespace.scope, receiver)
    old = secret_of(reached, webhook)
    await happen(reached, namespace.scope)

    await try_again(reached, webhook)
    rotated = await rotate_secret(reached, namespace.scope, webhook.id, overlap=timedelta(hours=1))
    new = secret_of(reached, rotated)
    await try_again(reached, webhook)
    ended = [rotated.secrets[0], rotated.secrets[1].model_copy(update={"expires_at": now()})]
    await Webhook.get_pymongo_collection().update_one(
        {"_id": webhook.id}, {"$set": {"secrets": [one.model_dump() for one in ended]}}
    )
    await try_again(reached, webhook)

    before, during, after = receiver.requests
    assert [verifies(old, one) for one in (before, during, after)] == [True, True, False]
    assert [verifies(new, one) for one in (before, during, after)] == [False, True, True]
    assert not any(verifies(secret_of(reached, other), one) for one in receiver.requests)
    assert len({one.headers[IDS] for one in receiver.requests}) == 1


async def test_no_secret_lies_readable_in_mongodb(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    webhook = await hook(reached, namespace.scope, receiver)
    await happen(reached, namespace.scope)
    await deliver_due(reached, webhook.id)
    secret = secret_of(reached, webhook).removeprefix("whsec_")

    written = [
        repr(row)
        for name in await reached.database.handle.list_collection_names()
        async for row in reached.database.handle[name].find({"namespace_id": namespace.id})
    ]

    assert any(webhook.id in row for row in written)
    assert not [row for row in written if secret in row]


async def test_a_courier_without_the_key_says_so_and_tries_again_later(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    webhook = await hook(reached, namespace.scope, receiver)
    await happen(reached, namespace.scope)
    other_key = {"sealing_keys": SecretStr("another-key-of-more-than-32-characters")}
    blind = replace(reached, settings=reached.settings.model_copy(update=other_key))

    await deliver_due(blind, webhook.id)

    assert not receiver.requests
    (waiting,) = await deliveries(namespace.scope, webhook)
    assert waiting.status is DeliveryStatus.PENDING
    assert "sealed with a key that is not here" in (waiting.log[-1].error or "")
    await try_again(reached, webhook)
    assert len(receiver.requests) == 1


def test_s38_signs_the_time_in_utc_and_exactly_what_is_sent() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    moment = int(now().timestamp())
    headers = {
        IDS: "evt_a",
        "webhook-timestamp": str(moment),
        "webhook-signature": sign([secret], "evt_a", moment, b'{"a": "\xc3\xa9"}'),
    }

    Verifier(secret).verify('{"a": "\u00e9"}', headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify('{"a": "\u00e8"}', headers)


async def test_s39_a_dead_endpoint_delays_no_other_and_is_hardly_called(
    stores: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    async with open_receiver() as good, reaching(stores, receiver, good, seconds=1.5) as both:
        receiver.reply = hang
        dead = await hook(both, namespace.scope, receiver)
        alive = await hook(both, namespace.scope, good)
        couriers = Couriers(both)
        await happen(both, namespace.scope, 30)

        couriers.wake(dead.id)
        couriers.wake(alive.id)
        await good.wait_for(30)
        still = await deliveries(namespace.scope, dead)
        await couriers.idle()

        assert [one.status for one in still] == [DeliveryStatus.PENDING] * 30
        failed = await namespace.scope.require(Webhook, dead.id)
        assert BREAKER_FAILURES <= failed.failures <= 2 * CONCURRENCY
        assert failed.breaker_until > now()
        called = len(receiver.requests)
        await deliver_due(both, dead.id)  # its breaker is open
        assert len(receiver.requests) == called

        await make_due(dead)
        await deliver_due(both, dead.id)  # one request tries it
        assert len(receiver.requests) == called + 1
        receiver.reply = answer(200)
        await try_again(both, dead)
        states = {one.status for one in await deliveries(namespace.scope, dead)}
        assert states == {DeliveryStatus.DELIVERED}


async def test_s39_a_range_is_delivered_again(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    scope = namespace.scope
    webhook = await hook(reached, scope, receiver)
    await happen(reached, scope, 6)
    await try_again(reached, webhook)
    receiver.requests.clear()
    failed, old = (await deliveries(scope, webhook))[:2]
    rows = Delivery.get_pymongo_collection()
    await rows.update_one({"_id": failed.id}, {"$set": {"status": "FAILED", "attempts": 10}})
    day_ago = now() - timedelta(days=1)
    await rows.update_one({"_id": old.id}, {"$set": {"created_at": day_ago}})
    hour = (now() - timedelta(hours=1), now() + timedelta(hours=1))

    only = await redeliver_range(scope, webhook.id, since=hour[0], until=hour[1], only_failed=True)
    await try_again(reached, webhook)
    sent = [one.headers[IDS] for one in receiver.requests]
    every = await redeliver_range(
        scope, webhook.id, since=hour[0], until=hour[1], only_failed=False
    )
    await try_again(reached, webhook)

    assert (only, sent, every) == (1, [failed.event_id], 5)
    assert len(receiver.requests) == 6
    assert old.event_id not in {one.headers[IDS] for one in receiver.requests}


async def test_one_process_at_a_time_calls_a_webhook(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    async def answer_four(received: Received, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(20):
            while receiver.most_open < CONCURRENCY:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.01)  # a fifth would come now
        await answer(200)(received, writer)

    receiver.reply = answer_four
    webhook = await hook(reached, namespace.scope, receiver)
    await happen(reached, namespace.scope, 24)

    await asyncio.gather(*(deliver_due(reached, webhook.id) for _ in range(5)))

    assert len(receiver.requests) == 24 == len({one.headers[IDS] for one in receiver.requests})
    assert receiver.most_open == CONCURRENCY


async def test_the_sweep_finds_what_nobody_was_woken_for(
    reached: Stores, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    await hook(reached, namespace.scope, receiver)
    await happen(reached, namespace.scope, 2)
    couriers = Couriers(reached)

    await couriers.sweep()
    await couriers.idle()

    assert len(receiver.requests) == 2
