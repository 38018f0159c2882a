"""Gate: the Python client gql over httpx and websockets."""

import asyncio
import json
from typing import Any

from gql import Client, gql
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

from tests.conformance.target import Target

_QUERY = "{ namespace { id } }"
_MUTATION = "mutation($name: String!) { createBucket(input: {name: $name}) { bucket { name } } }"
_FOLLOW = "subscription($id: ID!) { batchEvents(batchId: $id) { __typename } }"


def run(target: Target) -> bool:
    """Return whether it holds."""
    passed = asyncio.run(_check(target))
    print(json.dumps({"gate": "python_client", "passed": len(passed), "of": 5}))
    return len(passed) == 5


async def _check(target: Target) -> list[str]:
    http = HTTPXAsyncTransport(
        url=target.endpoint, headers={"Authorization": f"Bearer {target.key}"}
    )
    socket = WebsocketsTransport(
        url=target.endpoint.replace("http", "ws", 1),
        init_payload={"authorization": f"Bearer {target.key}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    passed = []
    async with Client(transport=http, fetch_schema_from_transport=True) as session:
        assert session.client.schema is not None
        passed.append("schema")
        assert (await _run(session, _QUERY))["namespace"]["id"].startswith("ns_")
        passed.append("query")
        made = await _run(session, _MUTATION, name="by-gql")
        assert made["createBucket"]["bucket"] == {"name": "by-gql"}
        passed.append("mutation")
    async with Client(transport=socket) as session:
        assert (await _run(session, _QUERY))["namespace"]["id"].startswith("ns_")
        passed.append("query by websocket")
        request = gql(_FOLLOW)
        request.variable_values = {"id": target.batch_id}
        async for answer in session.subscribe(request):
            assert answer["batchEvents"] == {"__typename": "BatchSnapshot"}
            passed.append("subscription")
            break
    return passed


async def _run(session: Any, query: str, **variables: Any) -> dict[str, Any]:
    request = gql(query)
    request.variable_values = variables
    answer: dict[str, Any] = await session.execute(request)
    return answer
