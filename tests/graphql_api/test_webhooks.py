import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from models.delivery import Delivery
from models.event_log import EventLog
from models.events import EventType
from models.stored import now
from models.stores import Stores
from models.webhook import Webhook
from tests.factories import make_bucket, store
from tests.fixtures.api import RunningApi, serve_api
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.calls import ERRORS, call, codes
from tests.receiver import Receiver, answer, open_receiver
from tests.workers.hooks import happen, reaching, try_again

FIELDS = "id url description eventTypes bucketIds collectionIds enabled disabledReason"
CREATE = f"""mutation($input: CreateWebhookInput!) {{ createWebhook(input: $input) {{
  webhook {{ {FIELDS} }} secret replayed {ERRORS} }} }}"""
UPDATE = f"""mutation($input: UpdateWebhookInput!) {{ updateWebhook(input: $input) {{
  webhook {{ {FIELDS} }} {ERRORS} }} }}"""
DELETE = f"""mutation($id: ID!) {{ deleteWebhook(input: {{webhookId: $id}}) {{
  deletedWebhookId {ERRORS} }} }}"""
TEST = f"""mutation($id: ID!) {{ testWebhook(input: {{webhookId: $id}}) {{
  delivery {{ id type status position }} {ERRORS} }} }}"""
ROTATE = f"""mutation($input: RotateWebhookSecretInput!) {{ rotateWebhookSecret(input: $input) {{
  webhook {{ id secretExpiresAt }} secret {ERRORS} }} }}"""
REDELIVER = f"""mutation($id: ID!) {{ redeliver(input: {{deliveryId: $id}}) {{
  delivery {{ id status attemptCount }} {ERRORS} }} }}"""
RANGE = f"""mutation($input: RedeliverRangeInput!) {{ redeliverRange(input: $input) {{
  redeliveredCount {ERRORS} }} }}"""
DELIVERIES = """query($id: ID!, $status: DeliveryStatus, $first: Int, $after: String) {
  webhookDeliveries(webhookId: $id, status: $status, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node {
      id webhookId eventId type position status attemptCount notBefore finishedAt
      attempts { url status error requestHeaders responseHeaders responseBody seconds } } } } }"""
FOLLOW = """subscription($types: [String!], $after: String) {
  namespaceEvents(types: $types, after: $after) {
    __typename cursor fromPosition position
    ... on NamespaceEvents { events { id type position subjectType subjectId sequence data } }
    ... on NamespaceDiscontinuity { reason } } }"""


@pytest.fixture(scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as opened:
        yield opened


@pytest.fixture(scope="module")
async def reached(stores: Stores, receiver: Receiver) -> AsyncIterator[Stores]:
    async with reaching(stores, receiver) as changed:
        yield changed


@pytest.fixture(scope="module")
async def hooked(reached: Stores) -> AsyncIterator[RunningApi]:
    """An API that may call the receiver."""
    async with serve_api(reached) as running:
        yield running


@pytest.fixture
def caller(hooked: RunningApi, namespace: NamespaceOfTest, receiver: Receiver) -> GraphQL:
    receiver.requests.clear()
    receiver.reply = answer(200, b"thanks")
    return hooked.caller(namespace.api_key)


async def create(caller: GraphQL, receiver: Receiver, **values: Any) -> dict[str, Any]:
    payload = await call(caller, CREATE, input={"url": receiver.url(), **values})
    assert payload["userErrors"] == []
    return payload


async def test_a_webhook_is_made_changed_and_deleted(
    caller: GraphQL, receiver: Receiver, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id)
    await store(bucket)
    values = {"eventTypes": ["BATCH_FAILED"], "bucketIds": [bucket.id], "description": "d"}
    made = await create(caller, receiver, **values)
    webhook_id = made["webhook"]["id"]

    changed = await call(
        caller, UPDATE, input={"webhookId": webhook_id, "eventTypes": [], "enabled": False}
    )
    listed = await call(caller, f"{{ webhooks {{ edges {{ node {{ {FIELDS} }} }} }} }}")
    gone = await call(caller, DELETE, id=webhook_id)
    again = await call(caller, DELETE, id=webhook_id)

    assert made["webhook"] == {
        "id": webhook_id, "url": receiver.url(), "enabled": True, "disabledReason": None,
        "collectionIds": [], **values,
    }  # fmt: skip
    assert made["secret"].startswith("whsec_")
    assert changed["webhook"] == {
        **made["webhook"], "eventTypes": [], "enabled": False,
        "disabledReason": "Disabled on request.",
    }  # fmt: skip
    assert [edge["node"] for edge in listed["edges"]] == [changed["webhook"]]
    assert gone["deletedWebhookId"] == webhook_id
    assert codes(again) == [("NOT_FOUND", ["webhookId"])]


@pytest.mark.parametrize(
    ("values", "code", "path"),
    [
        ({"url": "https://10.0.0.1/"}, "ADDRESS_REFUSED", ["url"]),
        ({"url": "http://169.254.169.254/latest"}, "ADDRESS_REFUSED", ["url"]),
        ({"url": "file:///etc/passwd"}, "ADDRESS_REFUSED", ["url"]),
        ({"bucketIds": ["bkt_nobody"]}, "NOT_FOUND", ["bucketIds", "0"]),
        ({"collectionIds": ["col_nobody"]}, "NOT_FOUND", ["collectionIds", "0"]),
        ({"description": "d" * 501}, "INVALID_INPUT", ["description"]),
    ],
)
async def test_bad_input_is_refused_where_it_is(
    caller: GraphQL, receiver: Receiver, values: dict[str, Any], code: str, path: list[str]
) -> None:
    payload = await call(caller, CREATE, input={"url": receiver.url(), **values})

    assert (codes(payload), payload["webhook"]) == ([(code, path)], None)


async def test_a_repeated_request_makes_one_webhook(caller: GraphQL, receiver: Receiver) -> None:
    first, second = [await create(caller, receiver, idempotencyKey="k") for _ in range(2)]

    assert (first["replayed"], second["replayed"]) == (False, True)
    assert second["secret"] == first["secret"]
    assert second["webhook"] == first["webhook"]


async def test_a_test_is_sent_and_logged_and_may_be_repeated(
    caller: GraphQL, receiver: Receiver, reached: Stores, namespace: NamespaceOfTest
) -> None:
    webhook_id = (await create(caller, receiver))["webhook"]["id"]
    webhook = await namespace.scope.require(Webhook, webhook_id)

    queued = (await call(caller, TEST, id=webhook_id))["delivery"]
    await try_again(reached, webhook)
    (edge,) = (await call(caller, DELIVERIES, id=webhook_id))["edges"]
    again = (await call(caller, REDELIVER, id=queued["id"]))["delivery"]
    await try_again(reached, webhook)

    assert (queued["type"], queued["status"]) == ("ENDPOINT_TEST", "PENDING")
    node = edge["node"]
    assert (node["status"], node["attemptCount"], node["notBefore"]) == ("DELIVERED", 1, None)
    (attempt,) = node["attempts"]
    assert (attempt["status"], attempt["responseBody"]) == (200, "thanks")
    assert attempt["requestHeaders"]["webhook-id"] == node["eventId"]
    assert (again["status"], again["attemptCount"]) == ("PENDING", 0)
    first, second = receiver.requests
    assert json.loads(first.body)["type"] == "endpoint.test"
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])


async def test_deliveries_are_listed_by_status_and_redelivered_by_range(
    caller: GraphQL, receiver: Receiver, reached: Stores, namespace: NamespaceOfTest
) -> None:
    webhook_id = (await create(caller, receiver))["webhook"]["id"]
    await happen(reached, namespace.scope, 3)
    await Delivery.get_pymongo_collection().update_one(
        {"webhook_id": webhook_id, "position": 2}, {"$set": {"status": "FAILED"}}
    )

    page = await call(caller, DELIVERIES, id=webhook_id, first=2)
    rest = await call(
        caller, DELIVERIES, id=webhook_id, first=2, after=page["pageInfo"]["endCursor"]
    )
    failed = await call(caller, DELIVERIES, id=webhook_id, status="FAILED")
    hour = timedelta(hours=1)
    span = {"since": (now() - hour).isoformat(), "until": (now() + hour).isoformat()}
    count = await call(caller, RANGE, input={"webhookId": webhook_id, **span})
    backwards = {"since": span["until"], "until": span["since"]}
    empty = await call(caller, RANGE, input={"webhookId": webhook_id, **backwards})

    positions = [e["node"]["position"] for one in (page, rest) for e in one["edges"]]
    assert (sorted(positions), page["totalCount"]) == ([1, 2, 3], 3)
    assert [edge["node"]["position"] for edge in failed["edges"]] == [2]
    assert (count["redeliveredCount"], empty["redeliveredCount"]) == (1, 0)
    assert codes(empty) == [("INVALID_INPUT", ["since"])]


async def test_a_secret_is_shown_when_it_is_made_and_nowhere_else(
    caller: GraphQL, receiver: Receiver
) -> None:
    made = await create(caller, receiver)
    webhook_id = made["webhook"]["id"]

    rotated = await call(caller, ROTATE, input={"webhookId": webhook_id, "overlapSeconds": 60})
    at_once = await call(caller, ROTATE, input={"webhookId": webhook_id, "overlapSeconds": 0})
    wrong = await call(caller, ROTATE, input={"webhookId": webhook_id, "overlapSeconds": -1})

    assert len({made["secret"], rotated["secret"], at_once["secret"]}) == 3
    assert rotated["webhook"]["secretExpiresAt"] is not None
    assert at_once["webhook"]["secretExpiresAt"] is None
    assert codes(wrong) == [("INVALID_INPUT", ["overlapSeconds"])]


async def test_a_disabled_webhook_is_not_tested(caller: GraphQL, receiver: Receiver) -> None:
    webhook_id = (await create(caller, receiver))["webhook"]["id"]
    await call(caller, UPDATE, input={"webhookId": webhook_id, "enabled": False})

    refused = await call(caller, TEST, id=webhook_id)

    assert codes(refused) == [("CONFLICT", ["webhookId"])]


async def test_the_log_is_followed_and_resumed_exactly_at_the_seam(
    hooked: RunningApi, reached: Stores, namespace: NamespaceOfTest
) -> None:
    seen: list[int] = []
    cursor: str | None = None
    await happen(reached, namespace.scope)  # before anybody listens
    for number in range(4):  # as many clients, one after the other, each cut off
        async with hooked.open_socket(namespace.api_key) as socket:
            await socket.subscribe(FOLLOW, {"after": cursor})
            if cursor is None:
                cursor = (await socket.next())["cursor"]
            await happen(reached, namespace.scope, 2)
            while len(seen) < 3 * number + 2:
                frame = await socket.next()
                assert frame["fromPosition"] == (seen[-1] if seen else 1) + 1
                seen += [event["position"] for event in frame["events"]]
                assert frame["position"] == seen[-1]
                cursor = frame["cursor"]
        await happen(reached, namespace.scope)  # while nobody listens

    assert seen == list(range(2, 2 + len(seen)))


async def test_the_log_is_followed_by_type_and_each_frame_covers_what_it_left_out(
    hooked: RunningApi, reached: Stores, namespace: NamespaceOfTest
) -> None:
    async with hooked.open_socket(namespace.api_key) as socket:
        await socket.subscribe(FOLLOW, {"types": ["object.deleted"]})
        first = await socket.next()
        await happen(reached, namespace.scope, 2)
        await happen(reached, namespace.scope, kind=EventType.OBJECT_DELETED)
        frame = await socket.next()

    assert (first["events"], first["position"]) == ([], 0)
    assert [event["type"] for event in frame["events"]] == ["object.deleted"]
    assert (frame["fromPosition"], frame["position"]) == (1, 3)


async def test_a_cursor_past_the_log_is_said_aloud_and_a_foreign_one_refused(
    hooked: RunningApi, reached: Stores, namespace: NamespaceOfTest
) -> None:
    await happen(reached, namespace.scope, 2)
    async with hooked.open_socket(namespace.api_key) as socket:
        await socket.subscribe(FOLLOW)
        cursor = (await socket.next())["cursor"]
        await socket.subscribe(FOLLOW, {"after": "nonsense"}, id="2")
        refused = await socket.receive()
    await EventLog.get_pymongo_collection().update_one(
        {"_id": namespace.id}, {"$set": {"position": 1}}
    )
    async with hooked.open_socket(namespace.api_key) as socket:
        await socket.subscribe(FOLLOW, {"after": cursor})
        gap = await socket.next()

    assert "INVALID_CURSOR" in json.dumps(refused)
    assert (gap["__typename"], gap["reason"]) == ("NamespaceDiscontinuity", "LOG_RESET")
