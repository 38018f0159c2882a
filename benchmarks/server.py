"""An API process beside a running product, over its stores, that may be killed and comes back."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

import httpx

from models.embedded.loopback import free_port

_WAIT_SECONDS: Final = 60


class Server:
    """`strata api` in a process of its own."""

    def __init__(self, data: Path, **settings: str) -> None:
        self._data = data
        self._settings = settings
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None
        self.kills = 0

    @property
    def base_url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> "Server":
        """Start it for a block."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave no process behind, whatever became of the block."""
        if self._process is not None and self._process.returncode is None:
            await self.stop(signal.SIGKILL)

    async def start(self) -> None:
        """Start it and wait until it serves."""
        command = ["-P", "-m", "graphql_api.cli", "api", "--data", str(self._data)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            "--port",
            str(self._port),
            env={**os.environ, **self._settings},
        )
        async with asyncio.timeout(_WAIT_SECONDS), httpx.AsyncClient() as http:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get(f"{self.base_url}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.1)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; return its exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        async with asyncio.timeout(_WAIT_SECONDS):
            return await self._process.wait()

    async def restart(self, *, politely: bool) -> None:
        """End it one way or the other, and start it again."""
        code = await self.stop(signal.SIGTERM if politely else signal.SIGKILL)
        if politely and code != 0:
            raise RuntimeError(f"the API ended with code {code}")
        self.kills += 1
        await self.start()
