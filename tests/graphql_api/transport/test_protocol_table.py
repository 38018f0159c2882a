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
from tests.protocol_table import ANSWERS, CLOSES, FOLLOW, asking


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
