"""The protocol graphql-transport-ws, by raw frames."""

import asyncio
import contextlib
import json
import os
from typing import Any

import pytest
from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from graphql_api.transport import websocket
from models.ids import new_id
from models.stores import Stores
from tests.factories import make_bucket, store
from tests.fixtures.api import RunningApi, serve_api
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import add_events, end_batch, run_batch
from workers.namespaces import open_namespace

EVENTS = "subscription($id: ID!) { batchEvents(batchId: $id) { __typename sequence } }"
FRESH = """subscription($id: ID!) {
  batchEvents(batchId: $id) { ... on BatchSnapshot { batch { bucket { name } } }
                              ... on BatchEvents { batch { bucket { name } } } }
}"""
HELLO = {"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }"}}


def subscribe(**changes: Any) -> dict[str, Any]:
    return {**HELLO, **changes}


@pytest.mark.parametrize("protocols", [None, ["graphql-ws"], ["soap", "graphql-ws"]])
async def test_only_the_present_protocol_is_offered(
    api: RunningApi, protocols: list[Subprotocol] | None
) -> None:
    address = api.endpoint.replace("http", "ws", 1)

    async with connect(address, subprotocols=protocols) as connection:
        await connection.wait_closed()

    assert (connection.subprotocol, connection.close_code) == (None, 4406)


async def test_a_query_and_a_mutation_run_over_the_socket(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe("{ namespace { id } }", id="q")
        assert await socket.next() == {"id": namespace.id}
        assert await socket.receive() == {"type": "complete", "id": "q"}
        create = 'mutation { createBucket(input: {name: "b"}) { bucket { name } } }'
        await socket.subscribe(create, id="q")
        assert await socket.next() == {"bucket": {"name": "b"}}
        assert await socket.receive() == {"type": "complete", "id": "q"}


@pytest.mark.parametrize(
    "authorization",
    ["Bearer nonsense", "Basic abc", "Bearer strata_key_x_y", "Bearer \ud800", 5, ["Bearer x"]],
)
async def test_a_bad_key_is_refused_at_init(api: RunningApi, authorization: Any) -> None:
    async with api.open_socket(init=False) as socket:
        payload = {"authorization": authorization}
        await socket.send({"type": "connection_init", "payload": payload})

        assert await socket.closed() == 4403


async def test_a_key_is_found_whatever_the_case_of_its_name(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    async with api.open_socket(init=False) as socket:
        payload = {"AUTHORIZATION": f"bearer {namespace.api_key}"}
        await socket.send({"type": "connection_init", "payload": payload})
        assert await socket.receive() == {"type": "connection_ack"}
        await socket.subscribe("{ namespace { id } }")
        assert await socket.next() == {"id": namespace.id}


async def test_without_a_key_every_operation_is_refused(api: RunningApi) -> None:
    async with api.open_socket() as socket:
        await socket.subscribe("subscription { batchesChanged { cursor } }")

        message = await socket.receive()

        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_init_may_have_a_payload_of_null(api: RunningApi) -> None:
    async with api.open_socket(init=False) as socket:
        await socket.send({"type": "connection_init", "payload": None})

        assert await socket.receive() == {"type": "connection_ack"}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (HELLO, 4401),
        ({"type": "connection_init", "payload": 5}, 4400),
        ("[" * 5000 + "]" * 5000, 4400),
        (b'{"type": "ping"}', 4400),
    ],
)
async def test_before_init_is_too_early(api: RunningApi, message: Any, code: int) -> None:
    async with api.open_socket(init=False) as socket:
        await socket.send(message)

        assert await socket.closed() == code


async def test_a_socket_that_never_begins_is_closed(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert websocket._INIT_SECONDS == 5
    monkeypatch.setattr(websocket, "_INIT_SECONDS", 0.3)
    async with serve_api(stores) as api, api.open_socket(init=False) as socket:
        assert await socket.closed(2) == 4408


async def test_init_twice_is_too_many(api: RunningApi) -> None:
    async with api.open_socket() as socket:
        await socket.send({"type": "connection_init"})

        assert await socket.closed() == 4429


MALFORMED = [
    "not json", "[]", "1", '"x"', "null", '{"type": "nonsense"}', "{}", '{"type": 5}', b"{}",
    '{"type": NaN}', "[" * 5000 + "]" * 5000, '{"type": "subscribe", "id": ' + "9" * 5000 + "}",
    {"type": "subscribe", "payload": {"query": "{ __typename }"}},
    {"type": "subscribe", "id": "1"},
    subscribe(payload={"query": 5}), subscribe(payload={}), subscribe(payload=5),
    subscribe(payload={"query": "{ __typename }", "variables": [1]}),
    subscribe(payload={"query": "{ __typename }", "operationName": 1}),
    subscribe(id={}), subscribe(id=1), subscribe(id=""), subscribe(id=None),
    {"type": "complete"}, {"type": "complete", "id": 1},
]  # fmt: skip


async def test_malformed_frames_close_the_socket(api: RunningApi) -> None:
    async def send(frame: Any) -> tuple[Any, int]:
        async with api.open_socket() as socket:
            await socket.send(frame)
            return frame, await socket.closed()

    codes = await asyncio.gather(*(send(frame) for frame in MALFORMED))

    assert [(str(frame)[:60], code) for frame, code in codes if code != 4400] == []


async def test_a_frame_too_large_closes_the_socket(api: RunningApi) -> None:
    async with api.open_socket() as socket:
        await socket.send({"type": "ping", "payload": {"a": "x" * 300_000}})

        assert await socket.closed() == 1009


async def test_an_active_id_is_not_given_twice(api: RunningApi, namespace: NamespaceOfTest) -> None:
    batch = await run_batch(namespace)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(EVENTS, {"id": batch.id}, id="same")
        await socket.subscribe(EVENTS, {"id": batch.id}, id="same")

        assert await socket.closed() == 4409


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"query": "{ namespace { "}, "GRAPHQL_PARSE_FAILED"),
        ({"query": ""}, "BAD_REQUEST"),
        ({"query": "{ nmespace { id } }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "subscription { batchesChanged }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A { __typename }", "operationName": "B"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": EVENTS, "variables": {}}, "BAD_USER_INPUT"),
        ({"query": EVENTS, "variables": {"id": {"a": 1}}}, "BAD_USER_INPUT"),
        ({"query": EVENTS, "variables": {"id": "btc_absent"}}, "BAD_USER_INPUT"),
    ],
)
async def test_a_request_that_fails_leaves_its_siblings_alone(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest, payload: Any, code: str
) -> None:
    batch = await run_batch(namespace)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(EVENTS, {"id": batch.id}, id="sibling")
        assert await socket.next() == {"__typename": "BatchSnapshot", "sequence": 1}

        await socket.send({"type": "subscribe", "id": "bad", "payload": payload})
        message = await socket.receive()

        assert (message["type"], message["id"]) == ("error", "bad")
        assert message["payload"][0]["extensions"]["code"] == code
        assert "Did you mean" not in message["payload"][0]["message"]
        await add_events(stores, batch)
        assert await socket.next() == {"__typename": "BatchEvents", "sequence": 2}


async def test_a_ping_is_answered_with_its_payload(api: RunningApi) -> None:
    async with api.open_socket(init=False) as socket:
        await socket.send({"type": "ping"})
        assert await socket.receive() == {"type": "pong"}
        await socket.send({"type": "ping", "payload": {"a": [1]}})
        assert await socket.receive() == {"type": "pong", "payload": {"a": [1]}}


async def test_the_server_pings_as_often_as_is_set(stores: Stores) -> None:
    async with serve_api(stores, heartbeat_seconds=0.5) as api, api.open_socket() as socket:
        async with asyncio.timeout(20):  # by default it would be twice as long
            for _ in range(3):
                assert json.loads(await socket.connection.recv()) == {"type": "ping"}
                await socket.send({"type": "pong"})


async def test_a_peer_that_answers_no_ping_is_given_up(stores: Stores) -> None:
    async with serve_api(stores, heartbeat_seconds=0.2) as api, api.open_socket() as socket:
        assert await socket.closed() == 4408


async def test_complete_stops_an_operation_and_frees_its_id(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    first, second = await run_batch(namespace), await run_batch(namespace)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(EVENTS, {"id": first.id})
        await socket.next()
        await socket.send({"type": "complete", "id": "1"})
        await socket.send({"type": "complete", "id": "unknown"})
        await socket.subscribe(EVENTS, {"id": second.id})
        assert (await socket.next())["__typename"] == "BatchSnapshot"

        await add_events(stores, first)
        await add_events(stores, second, 2)

        assert await socket.next() == {"__typename": "BatchEvents", "sequence": 3}


async def test_each_event_sees_the_present(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    bucket = make_bucket(namespace.id, name="before")
    batch = await run_batch(namespace, bucket_id=bucket.id)
    await store(bucket)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(FRESH, {"id": batch.id})
        assert (await socket.next())["batch"]["bucket"] == {"name": "before"}

        for name in ("during", "after"):
            rows = type(bucket).get_pymongo_collection()
            await rows.update_one({"_id": bucket.id}, {"$set": {"name": name}})
            await add_events(stores, batch)
            assert (await socket.next())["batch"]["bucket"] == {"name": name}


async def test_a_socket_has_so_many_operations_and_no_more(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    async with api.open_socket(namespace.api_key) as socket:
        for number in range(50):
            await socket.subscribe(EVENTS, {"id": batch.id}, id=str(number))
        await socket.subscribe(EVENTS, {"id": batch.id}, id="one too many")

        kinds = [await socket.receive() for _ in range(51)]

        (refused,) = [message for message in kinds if message["type"] != "next"]
        assert (refused["type"], refused["id"]) == ("error", "one too many")
        assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"


def followers() -> int:
    """Return how many generators of ours are alive on the loop."""
    return sum(task.get_name() == "operation" for task in asyncio.all_tasks())


async def test_a_cut_socket_leaves_nothing_behind(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    channel = stores.bus.events_channel(namespace.id)
    async with asyncio.timeout(20):
        while followers():  # an earlier test's
            await asyncio.sleep(0.02)
    async with api.open_socket(namespace.api_key) as socket:
        await socket.subscribe(EVENTS, {"id": batch.id}, id="a")
        await socket.subscribe("subscription { batchesChanged { cursor } }", id="b")
        assert {(await socket.receive())["id"], (await socket.receive())["id"]} == {"a", "b"}
        assert followers() == 2
        async with asyncio.timeout(20):
            while await subscribers(stores, channel) != 1:
                await asyncio.sleep(0.02)

        socket.connection.transport.abort()

        async with asyncio.timeout(20):
            while followers() or await subscribers(stores, channel):
                await asyncio.sleep(0.02)


async def subscribers(stores: Stores, channel: str) -> int:
    ((_, count),) = await stores.bus.redis.pubsub_numsub(channel)
    return int(count)


async def listening_connections(stores: Stores) -> int:
    clients = await stores.bus.redis.client_list(_type="pubsub")
    return sum(client["name"].endswith(f"-{os.getpid()}") for client in clients)


async def test_a_hundred_subscribers_share_one_connection_to_redis(
    api: RunningApi, stores: Stores
) -> None:
    namespaces = [await open_namespace(stores, new_id("ns")) for _ in range(4)]
    batches = [
        await run_batch(NamespaceOfTest(found.id, key)) for found, key in namespaces for _ in "ab"
    ]
    before = await listening_connections(stores)
    async with contextlib.AsyncExitStack() as opened:
        sockets = [await opened.enter_async_context(api.open_socket(key)) for _, key in namespaces]
        for number in range(100):
            socket, batch = sockets[number % 4], batches[number % 4 * 2 + number // 4 % 2]
            await socket.subscribe(EVENTS, {"id": batch.id}, id=str(number))
        for number in range(100):
            assert (await sockets[number % 4].next())["__typename"] == "BatchSnapshot"

        assert await listening_connections(stores) <= max(before, 1)

        for batch in batches:
            await add_events(stores, batch)
        for number in range(100):
            assert (await sockets[number % 4].next())["sequence"] == 2


async def test_an_independent_client_follows_a_batch_to_its_end(
    api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    transport = WebsocketsTransport(
        url=api.endpoint.replace("http", "ws", 1),
        init_payload={"authorization": f"Bearer {namespace.api_key}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    kinds = []
    async with Client(transport=transport) as session:
        request = gql(EVENTS)
        request.variable_values = {"id": batch.id}
        async for answer in session.subscribe(request):
            kinds.append(answer["batchEvents"]["__typename"])
            if len(kinds) == 1:
                await end_batch(stores, batch)

    assert kinds == ["BatchSnapshot", "BatchEvents"]
