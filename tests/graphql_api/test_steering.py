"""Mutations of batches on their way, as a client sees them."""

from datetime import datetime, timedelta
from typing import cast

import pytest
import strawberry

from graphql_api.batches.inputs import RetryBatchInput
from models.states import BatchStatus, BlockStatus, Hold
from models.stored import now
from models.stores import Stores
from tests.factories import make_block, store
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import FAR_AWAY, run_batch
from tests.graphql_api.calls import ERRORS, call, codes
from workers.reopening import RetryMode

SHOWN = "status pausedAt reason { code since }"


def change(mutation: str) -> str:
    return f"""mutation($id: ID!) {{
      {mutation}(input: {{batchId: $id}}) {{ batch {{ {SHOWN} }} {ERRORS} }} }}"""


async def test_a_batch_is_paused_and_resumed(caller: GraphQL, namespace: NamespaceOfTest) -> None:
    batch = await run_batch(namespace)

    paused = [await call(caller, change("pauseBatch"), id=batch.id) for _ in range(2)]
    resumed = await call(caller, change("resumeBatch"), id=batch.id)

    assert paused[0] == paused[1]
    shown = paused[0]["batch"]
    assert (shown["status"], shown["reason"]["code"]) == ("PROCESSING", "PAUSED")
    assert shown["pausedAt"] == shown["reason"]["since"]
    assert resumed["batch"] == {"status": "PROCESSING", "pausedAt": None, "reason": None}


async def test_a_batch_has_another_priority(caller: GraphQL, namespace: NamespaceOfTest) -> None:
    batch = await run_batch(namespace)
    query = f"""mutation($id: ID!, $priority: Int!) {{
      setBatchPriority(input: {{batchId: $id, priority: $priority}}) {{
        batch {{ priority }} {ERRORS} }} }}"""

    changed = await call(caller, query, id=batch.id, priority=7)
    refused = await call(caller, query, id=batch.id, priority=11)

    assert changed["batch"] == {"priority": 7}
    assert codes(refused) == [("INVALID_INPUT", ["priority"])]


@pytest.mark.parametrize("mutation", ["pauseBatch", "resumeBatch"])
async def test_what_cannot_be_steered_says_why(
    caller: GraphQL, namespace: NamespaceOfTest, mutation: str
) -> None:
    ended = await run_batch(namespace, status=BatchStatus.COMPLETED)

    refused = await call(caller, change(mutation), id=ended.id)
    unknown = await call(caller, change(mutation), id="btc_nowhere")

    assert codes(refused) == [("ILLEGAL_TRANSITION", ["batchId"])]
    assert refused["userErrors"][0]["hint"]
    assert codes(unknown) == [("NOT_FOUND", ["batchId"])]


async def test_those_that_wait_know_their_place_by_one_call(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    waits = {"status": BatchStatus.QUEUED, "lease_until": FAR_AWAY}
    first = await run_batch(namespace, **waits, turn_at=FAR_AWAY - timedelta(minutes=2))
    second = await run_batch(namespace, **waits, turn_at=FAR_AWAY)
    urgent = await run_batch(namespace, **waits, turn_at=FAR_AWAY - timedelta(minutes=3))
    paused = await run_batch(namespace, **waits, hold=Hold.PAUSED)
    running = await run_batch(namespace)

    query = "{ batches(first: 9) { edges { node { id queuePosition } } } }"
    edges = (await caller.data(query))["batches"]["edges"]

    found = {edge["node"]["id"]: edge["node"]["queuePosition"] for edge in edges}
    assert found == {urgent.id: 1, first.id: 2, second.id: 3, paused.id: None, running.id: None}


async def test_those_that_wait_know_when_they_are_likely_to_begin_and_to_end(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    running, paused = await run_batch(namespace), await run_batch(namespace, hold=Hold.PAUSED)
    waits = await run_batch(namespace, status=BatchStatus.QUEUED)
    hour = {"started_at": now() - timedelta(hours=2), "finished_at": now() - timedelta(hours=1)}
    await store(make_block(running, collection_id="col_1", status=BlockStatus.DONE, **hour))
    for batch in (running, paused, waits):
        await store(make_block(batch, collection_id="col_1"))
    query = "{ batches(first: 9) { edges { node { id estimatedStartAt estimatedFinishAt } } } }"

    asked = now()
    edges = (await caller.data(query))["batches"]["edges"]

    nodes = {edge["node"].pop("id"): edge["node"] for edge in edges}
    assert nodes[paused.id] == {"estimatedStartAt": None, "estimatedFinishAt": None}
    assert nodes[running.id]["estimatedStartAt"] is None
    ends = datetime.fromisoformat(nodes[running.id]["estimatedFinishAt"])
    assert timedelta(0) <= ends - asked - timedelta(hours=1) < timedelta(minutes=1)
    assert datetime.fromisoformat(nodes[waits.id]["estimatedStartAt"]) >= asked
    assert nodes[waits.id]["estimatedFinishAt"] is None  # nothing was seen but in another batch


async def test_a_safe_cancel_says_that_it_stops(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    block = make_block(batch, status=BlockStatus.LEASED, lease_until=FAR_AWAY)
    await store(block)
    cancel = f"""mutation($id: ID!) {{
      cancelBatch(input: {{batchId: $id, mode: SAFE}}) {{ batch {{ {SHOWN} }} {ERRORS} }} }}"""

    shown = (await call(caller, cancel, id=batch.id))["batch"]

    assert (shown["status"], shown["reason"]["code"]) == ("PROCESSING", "STOPPING")
    assert shown["pausedAt"] is None


async def test_a_deadline_is_shown_and_one_without_time_is_refused(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace, status=BatchStatus.DRAFT)
    far = await run_batch(namespace, deadline_at=FAR_AWAY)
    submit = f"""mutation($id: ID!) {{
      submitBatch(input: {{batchId: $id, deadlineSeconds: 0}}) {{ batch {{ id }} {ERRORS} }} }}"""

    refused = await call(caller, submit, id=batch.id)
    shown = await caller.data("query($id: ID!) { batch(id: $id) { deadlineAt } }", id=far.id)

    assert codes(refused) == [("INVALID_INPUT", ["deadlineSeconds"])]
    assert shown["batch"]["deadlineAt"].startswith("2100-01-01")


def test_a_retry_of_all_reaches_the_workers_as_such() -> None:
    """The schema hands enums over as plain strings, which are no member of theirs."""
    asked = RetryBatchInput(batch_id=strawberry.ID("btc_1"), mode=cast("RetryMode", "ALL"))

    assert asked.choice().mode is RetryMode.ALL
