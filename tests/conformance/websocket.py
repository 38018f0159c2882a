"""Gate: the 35 rows of the websocket protocol, and the same rows against the reference server.

Where the reference answers otherwise, the row is a choice and not the protocol: each such row
stands in `CHOICES` with its reason, and the gate fails when the list is not exact.
"""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from models.settings import ApiSettings
from tests.conformance.target import HERE, Target
from tests.protocol_table import ANSWERS, CLOSES, FOLLOW, asking

CHOICES: Final = {
    "syntax error": "one bad operation must not end its siblings; the reference closes with 4500",
    "no query but a hash": "documents may be sent by their hash; the reference wants a text",
    "too many operations": "the reference counts none",
    "idle": "pages and proxies do not see RFC 6455 pings; the reference sends nothing else",
}
_BEYOND: Final = frozenset({"deep JSON", "coercion"})  # asked of Strata besides the 35
_ROWS: Final = 35
_QUIET_SECONDS: Final = 1.0  # after which no answer is expected any more
_IDLE_SECONDS: Final = 20.0
_PROTOCOL: Final = Subprotocol("graphql-transport-ws")
_ALIVE: Final = {"type": "ping", "payload": {"alive": True}}
Outcomes = dict[str, str]


@dataclass(frozen=True)
class Server:
    """Where a server is, and with which key and batch it is asked."""

    address: str
    key: str | None
    batch_id: str

    async def outcome(self, init: bool, sent: list[Any], messages: int = 0) -> str:
        """Return what comes of frames: messages, and a close or a socket that lives."""
        async with connect(self.address, subprotocols=[_PROTOCOL], max_size=None) as socket:
            if init:
                await self._begin(socket)
            try:
                for frame in sent:
                    await socket.send(frame if isinstance(frame, str | bytes) else _text(frame))
                heard = [await _hear(socket) for _ in range(messages)]
                await socket.send(_text(_ALIVE))
                alive = await _hear(socket)
            except ConnectionClosed as closed:
                return f"closes {closed.rcvd.code if closed.rcvd else 1006}"
            return " ".join([*heard, "lives" if alive == "pong" else f"unasked {alive}"])

    async def idle(self) -> str:
        """Return what a socket hears to which nothing is said."""
        async with connect(self.address, subprotocols=[_PROTOCOL], ping_interval=None) as socket:
            await self._begin(socket)
            with suppress(TimeoutError):
                async with asyncio.timeout(_IDLE_SECONDS):
                    return str(json.loads(await socket.recv())["type"])
        return "silence"

    async def offered(self, *protocols: str) -> str:
        """Return what comes of a handshake that offers other subprotocols."""
        names = [Subprotocol(name) for name in protocols] or None
        async with connect(self.address, subprotocols=names) as socket:
            await socket.wait_closed()
            return f"closes {socket.close_code}"

    async def _begin(self, socket: ClientConnection) -> None:
        payload = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        await socket.send(_text({"type": "connection_init", "payload": payload}))
        await socket.recv()


def run(target: Target) -> bool:
    """Return whether Strata meets every row, and the reference all but the choices."""
    ours = Server(target.endpoint.replace("http", "ws", 1), target.key, target.batch_id)
    wanted = _wanted()
    with _reference() as port:
        reference = Server(f"ws://127.0.0.1:{port}/graphql", None, target.batch_id)
        mine, theirs = asyncio.run(_both(ours, reference))
    missed = {name for name, outcome in wanted.items() if mine[name] != outcome}
    differs = {
        name for name, outcome in wanted.items() if name not in _BEYOND and theirs[name] != outcome
    }
    for name in sorted(missed | differs):
        print(f"{name}: wanted {wanted[name]}; Strata {mine[name]}; reference {theirs[name]}")
    rows = len(wanted) - len(_BEYOND)
    print(f"Strata {rows - len(missed - _BEYOND)} of {rows}, reference {rows - len(differs)}")
    return not missed and rows == _ROWS and differs == CHOICES.keys()


async def _both(ours: Server, reference: Server) -> tuple[Outcomes, Outcomes]:
    return await asyncio.gather(_outcomes(ours), _outcomes(reference))


def _wanted() -> Outcomes:
    wanted = {name: f"closes {code}" for name, (_, _, code) in CLOSES.items()}
    for name, (_, _, messages) in ANSWERS.items():
        wanted[name] = " ".join([*(_show(kind, id) for kind, id in messages), "lives"])
    return {
        **wanted,
        "no subprotocol": "closes 4406",
        "unknown subprotocol": "closes 4406",
        "duplicate active id": "closes 4409",
        "complete frees the id": "next(1) next(1) lives",
        "too many operations": "error(last) lives",
        "idle": "ping",
    }


async def _outcomes(server: Server) -> Outcomes:
    idle = asyncio.create_task(server.idle())
    follow = asking(query=FOLLOW, variables={"id": server.batch_id})
    found = {name: await server.outcome(init, sent) for name, (init, sent, _) in CLOSES.items()}
    for name, (init, sent, messages) in ANSWERS.items():
        found[name] = await server.outcome(init, sent, len(messages))
    complete = {"type": "complete", "id": "1"}
    return {
        **found,
        "no subprotocol": await server.offered(),
        "unknown subprotocol": await server.offered("graphql-ws"),
        "duplicate active id": await server.outcome(True, [follow, follow], 2),
        "complete frees the id": await _freed(server, follow, complete),
        "too many operations": await _crowd(server, follow),
        "idle": await idle,
    }


async def _freed(server: Server, follow: dict[str, Any], complete: dict[str, Any]) -> str:
    """Subscribe, complete once the first frame is there, and subscribe under the same id."""
    async with connect(server.address, subprotocols=[_PROTOCOL]) as socket:
        await server._begin(socket)
        heard = []
        try:
            for frame in (follow, complete, follow):
                await socket.send(_text(frame))
                if frame is follow:
                    heard.append(await _hear(socket))
            await socket.send(_text(_ALIVE))
            alive = await _hear(socket)
        except ConnectionClosed as closed:
            return f"closes {closed.rcvd.code if closed.rcvd else 1006}"
        return " ".join([*heard, "lives" if alive == "pong" else f"unasked {alive}"])


async def _crowd(server: Server, follow: dict[str, Any]) -> str:
    """Subscribe once more than a socket may; return what becomes of the last."""
    most = ApiSettings().limits.operations_per_socket
    async with connect(server.address, subprotocols=[_PROTOCOL], max_size=None) as socket:
        await server._begin(socket)
        for number in range(most):
            await socket.send(_text({**follow, "id": f"s{number}"}))
            await _hear(socket)
        await socket.send(_text({**follow, "id": "last"}))
        last = await _hear(socket)
        await socket.send(_text(_ALIVE))
        return f"{last} {'lives' if await _hear(socket) == 'pong' else 'dies'}"


@contextmanager
def _reference() -> Iterator[int]:
    """Run the reference server; yields its port."""
    with subprocess.Popen(
        ["node", "reference_server.mjs"], cwd=HERE, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it tells there of each frame that it did not expect
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def _hear(socket: ClientConnection) -> str:
    """Return the next message that is no ping, by its type and id."""
    try:
        async with asyncio.timeout(_QUIET_SECONDS):
            while True:
                message = json.loads(await socket.recv())
                if message["type"] != "ping":
                    return _show(message["type"], message.get("id"))
    except TimeoutError:
        return "silence"


def _show(kind: str, id: str | None) -> str:
    return kind if id is None else f"{kind}({id})"


def _text(message: Any) -> str:
    return json.dumps(message)
