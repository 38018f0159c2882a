"""What those who watch the running product see: metrics, health, and one trace over all of it."""

import asyncio
import secrets

import httpx
import pytest

from tests.e2e.flows import Draft, await_end, draft_texts, open_api, operation
from tests.fixtures.collector import CollectedSpan, Collector
from tests.fixtures.stack import MONITORS, RECEIVER_PORT, Stack
from tests.fixtures.stores import NamespaceOfTest
from tests.receiver import Receiver, open_receiver

pytestmark = [pytest.mark.timeout(120)]
SHOWN = {
    "api": 'strata_operations_total{field="submitBatch",kind="mutation",outcome="OK"}',
    "worker": 'strata_batch_events_total{type="batch.completed"}',
    "engine": "strata_engine_warm 1.0",
    "conductor": 'strata_blocks_total{extractor="passthrough@v1",outcome="committed"}',
}
SPANS = {
    ("strata-api", "mutation submitBatch"),
    ("strata-worker", "batch.dispatch"),
    ("strata-conductor", "block"),
    ("strata-conductor", "block.extract"),
    ("strata-conductor", "qdrant.upsert"),
    ("strata-worker", "batch.finish"),
    ("strata-worker", "webhook.deliver"),
}


async def test_a_batch_shows_in_the_metrics_and_is_one_trace_over_every_process(
    stack: Stack, namespace: NamespaceOfTest, collector: Collector
) -> None:
    trace_id, own_span = secrets.token_hex(16), secrets.token_hex(8)
    async with (
        open_receiver(port=RECEIVER_PORT) as receiver,
        open_api(stack, namespace) as api,
    ):
        await api.data(
            operation("createWebhook"), url=receiver.url(), eventTypes=["BATCH_COMPLETED"]
        )
        draft = await draft_texts(api, ["One.", "Two."], extractor="passthrough")
        api.client.headers["traceparent"] = f"00-{trace_id}-{own_span}-01"
        await api.data(operation("submitBatch"), batchId=draft.batch_id)
        del api.client.headers["traceparent"]
        assert (await await_end(api, draft.batch_id))["status"] == "COMPLETED"
        await require_one_trace(collector, receiver, trace_id, own_span)
    await require_metrics(draft, namespace)


async def require_one_trace(
    collector: Collector, receiver: Receiver, trace_id: str, own_span: str
) -> None:
    (told,) = await receiver.wait_for(1)
    async with asyncio.timeout(20):
        while not (
            names(spans := collector.of(trace_id)) >= SPANS
            and roots(spans) <= {"mutation submitBatch"}  # children are sent before their parents
        ):
            await asyncio.sleep(0.05)
    (mutation,) = [one for one in spans if one.name == "mutation submitBatch"]
    assert mutation.parent_id == own_span
    assert roots(spans) == {mutation.name}
    (delivery,) = [one for one in spans if one.name == "webhook.deliver"]
    assert told.headers["traceparent"] == f"00-{trace_id}-{delivery.span_id}-01"


def roots(spans: list[CollectedSpan]) -> set[str]:
    """Return the names of those whose parent is not among them."""
    known = {one.span_id for one in spans}
    return {one.name for one in spans if one.parent_id not in known}


def names(spans: list[CollectedSpan]) -> set[tuple[str, str]]:
    return {(one.service, one.name) for one in spans}


async def require_metrics(draft: Draft, namespace: NamespaceOfTest) -> None:
    async with httpx.AsyncClient(timeout=10) as client:
        for process, line in SHOWN.items():
            address = f"http://127.0.0.1:{MONITORS[process]}"
            assert (await client.get(f"{address}/readyz")).status_code == 200, process
            text = (await client.get(f"{address}/metrics")).text
            assert line in text, process
            assert draft.batch_id not in text
            assert namespace.id not in text
