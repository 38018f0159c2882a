"""The Python client as a process: it follows to the end, through a connection that is cut."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from gql.transport.exceptions import TransportError
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.frontend_examples.cutting_proxy import CuttingProxy

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]

CLIENT = Path(__file__).resolve().parents[2] / "frontend_examples/python/follow_batch.py"
FRAME = re.compile(r"^ *(\d+)-(\d+)  (\w+) +(\d+) %", re.MULTILINE)


async def run_client(endpoint: str, key: str, *files: Path) -> tuple[int, str, str]:
    """Return exit code, output and complaints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CLIENT), "--endpoint", endpoint, "--key", key, *map(str, files)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, complaints = await asyncio.wait_for(process.communicate(), 50)
    except TimeoutError:
        process.kill()
        raise
    return process.returncode or 0, output.decode(), complaints.decode()


def covered_sequences(output: str) -> list[int]:
    return [
        number
        for first, last, *_ in FRAME.findall(output)
        for number in range(int(first), int(last) + 1)
    ]


def write_texts(path: Path, count: int) -> Path:
    lines = (
        json.dumps(
            {"text": f"Note {number} tells of {number * 7} ships on the sea.", "number": number}
        )
        for number in range(count)
    )
    path.write_text("\n".join(lines))
    return path


async def test_follows_texts_of_a_folder_to_the_end(
    stack: Any, namespace: Any, tmp_path: Path
) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/tides.txt").write_text("The sea rises and falls twice a day.")
    (tmp_path / "ignored.csv").write_text("1,2")
    write_texts(tmp_path / "notes.jsonl", 3)

    code, output, complaints = await run_client(stack.endpoint, namespace.api_key, tmp_path)

    assert (code, complaints) == (0, "")
    *_, last = FRAME.findall(output)
    assert last[2:] == ("COMPLETED", "100")
    assert output.rstrip().endswith("4 of 4 rows")


@pytest.mark.long
async def test_loses_and_repeats_no_event_when_cut(
    stack: Any, namespace: Any, tmp_path: Path
) -> None:
    # The handshake and the ack are two pieces: each socket dies after its first frames.
    proxy = CuttingProxy(stack.base_url, cuts=[3, 4])
    async with proxy.serve():
        notes = write_texts(tmp_path / "notes.jsonl", 400)
        code, output, complaints = await run_client(
            f"{proxy.through}/graphql", namespace.api_key, notes
        )

    assert (code, proxy.sockets) == (0, 3), complaints
    assert complaints.count("Connection lost") == 2
    covered = covered_sequences(output)
    assert covered == list(range(covered[0], covered[-1] + 1))
    assert FRAME.findall(output)[-1][2:] == ("COMPLETED", "100")


async def test_gives_up_on_a_refused_key(stack: Any, tmp_path: Path) -> None:
    notes = write_texts(tmp_path / "notes.jsonl", 1)

    code, output, complaints = await run_client(stack.endpoint, "not-a-key", notes)

    assert (code, output) == (1, "")
    assert complaints.startswith("Failed: ")
    assert complaints.count("\n") == 1


@pytest.mark.parametrize(("close", "connections"), [(4400, 1), (4401, 1), (4403, 1), (1012, 2)])
async def test_tries_again_only_where_that_can_help(close: int, connections: int) -> None:
    opened = 0

    async def refuse(socket: ServerConnection) -> None:
        nonlocal opened
        opened += 1
        await socket.close(close if opened < connections or close >= 4400 else 4400)

    subprotocols = [Subprotocol("graphql-transport-ws")]
    async with serve(refuse, "127.0.0.1", 0, subprotocols=subprotocols) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        strata = load_client().Strata(f"http://127.0.0.1:{port}/graphql", {})
        with pytest.raises(TransportError):
            await anext(strata.follow("btc_any"))

    assert opened == connections


def load_client() -> Any:
    spec = importlib.util.spec_from_file_location("follow_batch", CLIENT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
