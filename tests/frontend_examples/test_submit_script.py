"""The curl script as a process: from an empty namespace to the right answer of a search."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]

SCRIPT = Path(__file__).resolve().parents[2] / "frontend_examples/curl/submit.sh"


async def run_script(endpoint: str, key: str | None) -> tuple[int, str, str]:
    """Return exit code, output and complaints."""
    environment = {name: value for name, value in os.environ.items() if name != "STRATA_KEY"}
    process = await asyncio.create_subprocess_exec(
        str(SCRIPT),
        endpoint,
        env={**environment, **({"STRATA_KEY": key} if key else {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, complaints = await asyncio.wait_for(process.communicate(), 50)
    except TimeoutError:
        process.kill()
        raise
    return process.returncode or 0, output.decode(), complaints.decode()


async def test_goes_from_bucket_to_search(stack: Any, namespace: Any) -> None:
    code, output, complaints = await run_script(stack.endpoint, namespace.api_key)

    assert (code, complaints) == (0, "")
    assert "   COMPLETED, 100.0 %\n" in output
    assert output.splitlines()[-1].startswith("   Tides: The sea rises and falls twice a day")


async def test_stops_at_a_refused_key(stack: Any) -> None:
    code, output, complaints = await run_script(stack.endpoint, "not-a-key")

    assert code != 0
    assert output.splitlines() == [
        "1. A bucket whose objects have a text, and a collection that embeds it"
    ]
    assert complaints.startswith("refused: ")


async def test_says_which_key_it_needs(stack: Any) -> None:
    code, output, complaints = await run_script(stack.endpoint, None)

    assert (code, output) == (1, "")
    assert "set STRATA_KEY to an API key" in complaints
