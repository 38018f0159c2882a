"""The 35 expectations of graphql-transport-ws, one row each, and what is asked beyond them."""

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from models.settings import ApiSettings
from models.stores import Stores
from tests.fixtures.api import RunningApi, Socket, serve_api
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import run_batch

FOLLOW = "subscription($id: ID!) { batchEvents(batchId: $id) { __typename } }"
INIT = {"type": "connection_init"}
ASK = {"id": "1", "type": "subscribe", "payload": {"query": "{ __typename }"}}
CREATE = 'mutation { createBucket(input: {name: "table"}) { bucket { name } } }'


def asking(**payload: Any) -> dict[str, Any]:
    return {**ASK, "payload": payload}


# What is sent after a handshake, acknowledged or not, and the code with which the socket closes.
CLOSES: dict[str, tuple[bool, list[Any], int]] = {
    "second init": (True, [INIT], 4429),
    "subscribe before ack": (False, [ASK], 4401),
    "no JSON": (True, ["{"], 4400),
    "unknown type": (True, [{"type": "start"}], 4400),
    "no type": (True, [{"id": "1"}], 4400),
    "array": (True, ["[]"], 4400),
    "number": (True, ["1"], 4400),
    "string": (True, ['"x"'], 4400),
    "null": (True, ["null"], 4400),
    "binary": (True, [b"{}"], 4400),
    "init payload number": (False, [{"type": "connection_init", "payload": 5}], 4400),
    "no id": (True, [{"type": "subscribe", "payload": ASK["payload"]}], 4400),
    "no payload": (True, [{"type": "subscribe", "id": "1"}], 4400),
    "query number": (True, [asking(query=5)], 4400),
    "variables array": (True, [asking(query="{ a }", variables=[1])], 4400),
    "id object": (True, [{**ASK, "id": {}}], 4400),
    "id number": (True, [{**ASK, "id": 1}], 4400),
    "id empty": (True, [{**ASK, "id": ""}], 4400),
    "deep JSON": (True, ['{"type": "ping", "payload": ' + "[" * 200 + "]" * 200 + "}"], 4400),
}
# Answers of a socket that lives on: what is sent, and the messages that come.
ANSWERS: dict[str, tuple[bool, list[Any], list[tuple[str, str | None]]]] = {
    "init": (False, [INIT], [("connection_ack", None)]),
    "init payload null": (False, [{**INIT, "payload": None}], [("connection_ack", None)]),
    "ping before init": (False, [{"type": "ping"}], [("pong", None)]),
    "ping with payload": (True, [{"type": "ping", "payload": {"a": 1}}], [("pong", None)]),
    "query": (True, [ASK], [("next", "1"), ("complete", "1")]),
    "mutation": (True, [asking(query=CREATE)], [("next", "1"), ("complete", "1")]),
    "validation error": (True, [asking(query="{ nothing }")], [("error", "1")]),
    "syntax error": (True, [asking(query="{")], [("error", "1")]),
    "unknown operationName": (
        True, [asking(query="query A { __typename }", operationName="B")], [("error", "1")],
    ),
    "coercion": (True, [asking(query=FOLLOW)], [("error", "1")]),
    "complete of an unknown id": (True, [{"type": "complete", "id": "9"}], []),
    "no query but a hash": (
        True,
        [asking(extensions={"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}})],
        [("error", "1")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("init", "sent", "code"), CLOSES.values(), ids=CLOSES)
async def test_a_frame_outside_the_protocol_closes_with_its_code(
    api: RunningApi, init: bool, sent: list[Any], code: int
) -> None:
    async with api.open_socket(init=init) as socket:
        for frame in sent:
            await socket.send(frame)

        assert await socket.closed() == code


@pytest.mark.parametrize(("init", "sent", "wanted"), ANSWERS.values(), ids=ANSWERS)
async def test_a_message_is_answered_and_the_socket_lives_on(
    api: RunningApi, namespace: NamespaceOfTest, init: bool, sent: list[Any],
    wanted: list[tuple[str, str | None]],
) -> None:  # fmt: skip
    async with api.open_socket(namespace.api_key if init else None, init=init) as socket:
        for frame in sent:
            await socket.send(frame)

        messages = [await socket.receive() for _ in wanted]

        assert [(message["type"], message.get("id")) for message in messages] == wanted
        await assert_alive(socket)


async def assert_alive(socket: Socket) -> None:
    await socket.send({"type": "ping", "payload": {"alive": True}})
    assert await socket.receive() == {"type": "pong", "payload": {"alive": True}}


@pytest.mark.parametrize("offered", [None, ["graphql-ws"]], ids=["none", "legacy"])
async def test_no_other_subprotocol_is_spoken(
    api: RunningApi, offered: list[Subprotocol] | None
) -> None:
    async with connect(api.endpoint.replace("http", "ws", 1), subprotocols=offered) as connection:
        await connection.wait_closed()

    assert (connection.subprotocol, connection.close_code) == (None, 4406)


async def test_an_active_id_is_taken_and_a_completed_one_is_free(
    api: RunningApi, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    follow = asking(query=FOLLOW, variables={"id": batch.id})
    async with api.open_socket(namespace.api_key) as socket:
        await socket.send(follow)
        assert (await socket.receive())["type"] == "next"
        await socket.send({"type": "complete", "id": "1"})
        await socket.send(follow)
        assert (await socket.receive())["type"] == "next"

        await socket.send(follow)

        assert await socket.closed() == 4409


async def test_an_idle_socket_is_pinged_soon_enough(stores: Stores) -> None:
    assert ApiSettings().heartbeat_seconds <= 20
    async with serve_api(stores, heartbeat_seconds=0.05) as api, api.open_socket() as socket:
        assert json.loads(await socket.connection.recv()) == {"type": "ping"}


@pytest.mark.parametrize(
    ("origin", "admitted"),
    [(None, True), ("{own}", True), ("https://elsewhere.example", False), ("null", False)],
)
async def test_pages_of_other_origins_open_no_socket(
    api: RunningApi, origin: str | None, admitted: bool
) -> None:
    address = api.endpoint.replace("http", "ws", 1)
    chosen: Any = None if origin is None else origin.format(own=api.base_url)
    opening = connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], origin=chosen)

    if admitted:
        async with opening as connection:
            assert connection.subprotocol == "graphql-transport-ws"
    else:
        with pytest.raises(Exception, match="HTTP 403"):
            async with opening:
                pass
