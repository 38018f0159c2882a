"""A server that is asked to end: streams are sent elsewhere, it ends with 0, nothing is lost."""

import asyncio
from pathlib import Path

import httpx

from benchmarks.server import Server
from graphql_api.transport.draining import Open
from graphql_api.transport.negotiation import EVENTS
from models.embedded.endpoints import Endpoints
from models.stores import Stores
from tests.fixtures.api import RunningApi
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import add_events, run_batch
from tests.graphql_api.transport.test_streams import frame, open_stream


async def test_a_stream_goes_on_at_another_server_where_it_was(
    endpoints: Endpoints,
    api: RunningApi,
    stores: Stores,
    namespace: NamespaceOfTest,
    tmp_path: Path,
) -> None:
    batch, key = await run_batch(namespace), namespace.api_key
    async with (
        Server(tmp_path, **endpoints.environment()) as server,
        httpx.AsyncClient(timeout=30) as client,
    ):
        ending = RunningApi(server.base_url, client, Open(1))
        async with open_stream(ending, key, EVENTS, id=batch.id) as stream:
            seen = await stream.event()
            ending_with = asyncio.create_task(server.stop())
            told = await stream.rest()
        code = await ending_with
    await add_events(stores, batch, 3)

    async with open_stream(api, key, EVENTS, last=seen["id"], id=batch.id) as stream:
        resumed = frame(await stream.event())

    assert code == 0
    assert told.startswith("retry: ")
    assert "complete" not in told
    assert (resumed["__typename"], resumed["sequence"]) == ("BatchEvents", 4)
