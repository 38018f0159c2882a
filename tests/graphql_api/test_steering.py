"""Mutations of batches on their way, as a client sees them."""

import pytest

from models.states import BatchStatus
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import FAR_AWAY, run_batch
from tests.graphql_api.calls import ERRORS, call, codes

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
