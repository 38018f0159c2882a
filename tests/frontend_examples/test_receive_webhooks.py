"""The receiver as a process, called by the reference library of the specification."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook as Signer

EXAMPLE = Path(__file__).resolve().parents[2] / "frontend_examples/python/receive_webhooks.py"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


class Example:
    """The receiver, and what it printed."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 20)).decode()

    async def send(self, event: Any, **changed: str) -> int:
        """Return the status of a signed request, some of its headers changed."""
        body = json.dumps(event)
        moment = datetime.now(UTC) - timedelta(seconds=float(changed.pop("age", "0")))
        signer = Signer(changed.pop("secret", SECRET))
        headers = {
            "webhook-id": event["id"],
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": signer.sign(event["id"], moment, body),
        }
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            answer = await client.post(self.url, content=body, headers={**headers, **changed})
        return answer.status_code


@pytest.fixture
async def example() -> AsyncIterator[Example]:
    command = [sys.executable, str(EXAMPLE), "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *(*command, "--secret", SECRET, "--secret", OLD_SECRET),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        opened = Example(process, "")
        opened.url = (await opened.line()).split()[-1]
        yield opened
    finally:
        process.kill()
        await process.wait()


def make_event(number: int) -> dict[str, Any]:
    return {
        "id": f"evt_{number}",
        "type": "batch.completed",
        "position": number,
        "subject": {"type": "BATCH", "id": "btc_a"},
    }


async def test_prints_each_event_once_and_refuses_what_is_not_signed(example: Example) -> None:
    first, second = make_event(1), make_event(2)

    refused = [
        await example.send(first, **{"webhook-id": "evt_other"}),
        await example.send(first, **{"webhook-signature": "v1,bm9ib2R5"}),
        await example.send(first, **{"webhook-signature": "garbage v1"}),
        await example.send(first, **{"webhook-timestamp": "yesterday"}),
        await example.send(first, age="400"),
        await example.send(first, age="-400"),
        await example.send(first, secret="whsec_" + "QUFB" * 8),
    ]
    taken = [
        await example.send(first),
        await example.send(first),
        await example.send(second, secret=OLD_SECRET),
    ]

    assert (refused, taken) == ([401] * 7, [204] * 3)
    assert (await example.line()).split() == ["1", "batch.completed", "BATCH", "btc_a"]
    assert (await example.line()).split()[0] == "2"
