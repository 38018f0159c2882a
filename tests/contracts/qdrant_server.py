"""What the Qdrant contract runs against, as a pytest plugin: the embedded server and any URL.

The embedded server is a child process, started the way the supervisor does it. A server named by
STRATA_TEST_QDRANT_URL (and STRATA_TEST_QDRANT_API_KEY) gets the same tests.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from qdrant_client import AsyncQdrantClient, models

from tests.contracts.qdrant_points import INDEXES, SPARSE, VECTORS, make_points

START_SECONDS = 15.0
URL, URL_KEY = "STRATA_TEST_QDRANT_URL", "STRATA_TEST_QDRANT_API_KEY"
TARGETS = ["embedded", *(["url"] if URL in os.environ else [])]


def connect(url: str, api_key: str | None, timeout: int = 30) -> AsyncQdrantClient:
    with warnings.catch_warnings():
        # A key over plain HTTP is fine on the loopback interface, which the client cannot know.
        warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
        return AsyncQdrantClient(
            url=url, api_key=api_key, timeout=timeout, check_compatibility=False, trust_env=False
        )


class QdrantServer:
    """One data folder and the process that serves it; it can be killed and started again."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.api_key = secrets.token_hex(16)
        self.url = ""
        self._log = data.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as listening, self._log.open("ab") as log:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "models.embedded.qdrant_front"),
                    *("--fd", str(listening.fileno()), "--data", str(self.data)),
                ],
                env=os.environ | {"STRATA_EMBEDDED_QDRANT_API_KEY": self.api_key},
                pass_fds=[listening.fileno()],
                stderr=log,
            )
        self._await_ready()

    def kill(self) -> None:
        """As kill -9 does: nothing is flushed, nothing is closed."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def connect(self, api_key: str | None = None) -> AsyncQdrantClient:
        return connect(self.url, api_key or self.api_key)

    def optimize(self, collection: str, *, wait: bool = True) -> None:
        """Have the index built and, unless told otherwise, wait until it is in use."""
        httpx.post(
            f"{self.url}/collections/{collection}/optimize?wait={str(wait).lower()}",
            headers={"api-key": self.api_key},
            timeout=30,
            trust_env=False,
        ).raise_for_status()

    def children(self) -> list[psutil.Process]:
        """The processes that build an index for it."""
        assert self._process is not None
        return psutil.Process(self._process.pid).children()

    def await_build(self) -> list[psutil.Process]:
        """Wait until an index build is under way."""
        deadline = time.monotonic() + START_SECONDS
        while not (builders := self.children()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return builders

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(timeout=15)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._lives():
            try:
                if httpx.get(f"{self.url}/readyz", timeout=1, trust_env=False).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"the embedded Qdrant is not up: {self._log.read_text()[-2000:]}")

    def _lives(self) -> bool:
        return self._process is not None and self._process.poll() is None


@pytest.fixture(scope="session")
def qdrant_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    server = QdrantServer(tmp_path_factory.mktemp("qdrant") / "data")
    server.start()
    yield server
    assert server.stop() == 0


@pytest.fixture
def own_qdrant_server(tmp_path: Path) -> Iterator[QdrantServer]:
    """A server that a test may kill."""
    server = QdrantServer(tmp_path / "data")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session", params=TARGETS)
async def qdrant(request: pytest.FixtureRequest) -> AsyncIterator[AsyncQdrantClient]:
    """A client of each server that the contract runs against."""
    if request.param == "embedded":
        client = request.getfixturevalue("qdrant_server").connect()
    else:
        client = connect(os.environ[URL], os.environ.get(URL_KEY))
    yield client
    await client.close()


@pytest.fixture(scope="session")
async def library(qdrant: AsyncQdrantClient) -> AsyncIterator[str]:
    """A collection with the 400 points and every index, for tests that only read."""
    async with _collection(qdrant, INDEXES) as name:
        yield name


@pytest.fixture
async def scratch(qdrant: AsyncQdrantClient) -> AsyncIterator[str]:
    """The same points for tests that write, with the one index that those ask for."""
    async with _collection(qdrant, {"kind": INDEXES["kind"]}) as name:
        yield name


@pytest.fixture
async def fresh_name(qdrant: AsyncQdrantClient) -> AsyncIterator[str]:
    """A name for a collection, which is deleted afterwards."""
    name = f"contract-{uuid.uuid4().hex}"
    yield name
    await qdrant.delete_collection(name)


@asynccontextmanager
async def _collection(
    client: AsyncQdrantClient, indexes: dict[str, models.PayloadSchemaType]
) -> AsyncIterator[str]:
    name = f"contract-{uuid.uuid4().hex}"
    await client.create_collection(name, vectors_config=VECTORS, sparse_vectors_config=SPARSE)
    for field, kind in indexes.items():
        await client.create_payload_index(name, field, kind, wait=True)
    await client.upsert(name, make_points(), wait=True)
    yield name
    await client.delete_collection(name)
