"""What those who watch the running product see: metrics and health of each of its processes."""

import httpx
import pytest

from tests.e2e.flows import await_end, draft_texts, open_api, operation
from tests.fixtures.stack import MONITORS, Stack
from tests.fixtures.stores import NamespaceOfTest

pytestmark = [pytest.mark.timeout(120)]
SHOWN = {
    "api": 'strata_operations_total{field="submitBatch",kind="mutation",outcome="OK"}',
    "worker": 'strata_batch_events_total{type="batch.completed"}',
    "engine": "strata_engine_warm 1.0",
    "conductor": 'strata_blocks_total{extractor="passthrough@v1",outcome="committed"}',
}


async def test_each_process_shows_what_it_did_and_that_it_is_ready(
    stack: Stack, stack_namespace: NamespaceOfTest
) -> None:
    async with open_api(stack, stack_namespace) as api:
        draft = await draft_texts(api, ["One.", "Two."], extractor="passthrough")
        await api.data(operation("submitBatch"), batchId=draft.batch_id)
        assert (await await_end(api, draft.batch_id))["status"] == "COMPLETED"

    async with httpx.AsyncClient(timeout=10) as client:
        for process, line in SHOWN.items():
            address = f"http://127.0.0.1:{MONITORS[process]}"
            assert (await client.get(f"{address}/readyz")).status_code == 200, process
            text = (await client.get(f"{address}/metrics")).text
            assert line in text, process
            assert draft.batch_id not in text
            assert stack_namespace.id not in text
