"""GraphiQL against the real API, the network blocked: a query, a mutation and a subscription."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Browser, Page, open_browser, require_chromium
from tests.e2e.flows import await_end, draft_texts, open_api, operation
from tests.fixtures.stack import Stack
from tests.fixtures.stores import NamespaceOfTest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]
QUERY = "document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror"
VARIABLES = "document.querySelectorAll('.graphiql-editor-tool .CodeMirror')[0].CodeMirror"
RESPONSE = "document.querySelector('.graphiql-response .CodeMirror').CodeMirror.getValue()"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    require_chromium()
    async with open_browser() as browser:
        yield browser


async def run(page: Page, query: str, variables: dict[str, Any], until: str) -> str:
    """Type an operation and its variables, run it, return the answer once it holds `until`."""
    await page.evaluate(f"void {VARIABLES}.setValue({json.dumps(json.dumps(variables))})")
    await page.evaluate(f"void {QUERY}.setValue({json.dumps(query)})")
    # GraphiQL parses a moment after the last key; before that it would run the old operation.
    await page.wait_for(f"{QUERY}.documentAST?.loc.source.body === {json.dumps(query)}")
    await page.click(".graphiql-execute-button")
    return str(await page.wait_for(f"{RESPONSE}.includes({json.dumps(until)}) && {RESPONSE}", 15))


async def test_query_mutation_and_subscription_work_offline(
    stack: Stack, namespace: NamespaceOfTest, browser: Browser, tmp_path: Path
) -> None:
    async with open_api(stack, namespace) as api:
        draft = await draft_texts(api, ["about cats", "about the sea"])
        page = await browser.new_page()
        await page.goto(f"{stack.base_url}/graphiql")
        await page.wait_for("document.querySelector('.graphiql-query-editor .CodeMirror')", 20)
        await page.fill("#api-key", namespace.api_key)
        await page.press("Enter")
        await page.wait_for("document.querySelector('#connection').dataset.state === 'good'")
        # The editor begins anew when it has the schema; before that it would lose what is typed.
        await page.wait_for(f"!!{QUERY}.options.lint?.schema", 20)
        # Without a key the schema is refused, which the browser notes; from here on nothing may be.
        assert all("403" in error for error in page.console_errors), page.console_errors
        page.console_errors.clear()
        page.failed_requests.clear()

        read = await run(page, operation("batch"), {"id": draft.batch_id}, "DRAFT")
        sent = await run(page, operation("submitBatch"), {"batchId": draft.batch_id}, "taskId")
        followed = await run(
            page, operation("batchEvents"), {"batchId": draft.batch_id}, '"status": "COMPLETED"'
        )
        await page.screenshot(tmp_path / "graphiql.png")

        assert (await await_end(api, draft.batch_id))["status"] == "COMPLETED"
        assert json.loads(read)["data"]["batch"]["counts"]["objects"] == 2
        assert json.loads(sent)["data"]["submitBatch"]["userErrors"] == []
        assert '"documentsWritten": 2' in followed
        assert page.console_errors == []
        assert page.failed_requests == []
