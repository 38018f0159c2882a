"""The demo from beginning to end, or from where an earlier one stopped."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from graphql_api.demo.client import ApiClient, Variables
from graphql_api.demo.errors import DemoIncomplete, Refused
from graphql_api.demo.facts import DemoFacts, read_facts, write_facts
from graphql_api.demo.following import follow_batch
from graphql_api.demo.library import (
    FIELDS,
    create_collections,
    fill_batch,
    open_namespace,
    register_docstrings,
)
from graphql_api.demo.progress import BatchProgress
from graphql_api.demo.searches import show_searches

COMPLETED = "COMPLETED"
LIVE = frozenset({"QUEUED", "PROCESSING"})


async def run_demo(endpoint: str, *, admin_key: str, data: Path, console: Console) -> DemoFacts:
    """Bring the demo to COMPLETED and return what opens it; a completed one is left as it is.

    Raises:
        DemoIncomplete: the batch ended otherwise.
        Refused: the API said no.
        ApiUnreachable: the API does not answer.
    """
    facts = read_facts(data)
    status = await _status_of(facts, endpoint) if facts else None
    if facts and status in LIVE | {COMPLETED}:
        facts = replace(facts, endpoint=endpoint)
        write_facts(data, facts)
        if status == COMPLETED:
            console.print("The demo is there already: its batch is COMPLETED.")
            return facts
        console.print("An earlier demo was left in the middle; following it.")
    else:
        facts = await _begin(endpoint, admin_key, data, console)
    await _follow(facts, console)
    async with ApiClient(facts.endpoint, facts.apiKey) as client:
        await show_searches(client, facts.collectionId, console)
    return facts


async def _status_of(facts: DemoFacts, endpoint: str) -> str | None:
    async with ApiClient(endpoint, facts.apiKey) as client:
        try:
            return await client.batch_status(facts.batchId)
        except Refused:  # the key is of another data folder, or its namespace is gone
            return None


async def _begin(endpoint: str, admin_key: str, data: Path, console: Console) -> DemoFacts:
    async with ApiClient(endpoint, admin_key) as admin:
        namespace = await open_namespace(admin)
    async with ApiClient(endpoint, namespace.api_key) as client:
        bucket_id = await client.create_bucket("standard-library", FIELDS)
        with console.status("Reading the docstrings of the standard library"):
            object_ids = await register_docstrings(client, bucket_id)
            collection_id = await create_collections(client, bucket_id)
            batch_id = await fill_batch(client, bucket_id, object_ids)
        console.print(f"{len(object_ids):,} docstrings of the standard library are registered.")
        console.print(_plan_table(await client.plan_batch(batch_id)))
        await client.submit_batch(batch_id)
    facts = DemoFacts(
        endpoint=endpoint,
        apiKey=namespace.api_key,
        namespaceId=namespace.id,
        bucketId=bucket_id,
        collectionId=collection_id,
        batchId=batch_id,
    )
    write_facts(data, facts)
    return facts


async def _follow(facts: DemoFacts, console: Console) -> None:
    with BatchProgress(console) as progress:
        async for frame in follow_batch(facts.endpoint, facts.apiKey, facts.batchId):
            progress.show(frame)
    console.print(progress.summary(frame))
    if frame.status != COMPLETED:
        raise DemoIncomplete(
            f"The demo's batch ended as {frame.status}. {frame.message}".strip(),
            hint=f"See its rowErrors (batch {facts.batchId}) and the logs in the data folder.",
        )


def _plan_table(plan: Variables) -> Table:
    table = Table(title="Plan of the batch", title_justify="left", title_style="bold", box=None)
    for heading in ("tier", "collection", "extractor"):
        table.add_column(heading)
    for tier in plan["tiers"]:
        for collection in tier["collections"]:
            extractor = f"{collection['extractor']['name']}@{collection['extractor']['version']}"
            table.add_row(str(tier["number"]), collection["name"], extractor)
    table.caption = f"{plan['rows']:,} rows in {plan['blocks']:,} blocks" + _estimate(plan)
    table.caption_justify = "left"
    return table


def _estimate(plan: Variables) -> str:
    seconds = plan["estimatedSeconds"]
    return f", about {seconds:,.0f} s" if seconds else ""
