"""Two nodes, one of them killed in the middle of a batch: the batch ends as if nothing had been."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine import runner
from models.embedded.endpoints import Endpoints
from models.embedded.ray import driver_environment
from models.states import BlockStatus
from models.stores import Stores
from tests.engine.batches import (
    blocks_of,
    errors_of,
    make_run,
    reread,
    said,
    submitted,
    texts_in,
    with_engine,
    words_of,
)
from tests.extractors import choice
from tests.factories import make_bucket
from tests.fixtures.stores import NamespaceOfTest

pytestmark = [
    pytest.mark.long,
    pytest.mark.stack,
    pytest.mark.usefixtures("ray_driver"),
    pytest.mark.timeout(180),
]
BUSY = "ray::ExtractorProcess.extract"  # the title of a process in the middle of a call
STORE_BYTES = 100 * 1024 * 1024


@pytest.fixture
def second_node(ray_driver: None, ray_endpoints: Endpoints) -> Iterator[psutil.Process]:
    """Another node of the tests' cluster, with many more cores than the first."""
    program = str(Path(sys.executable).parent / "ray")
    node = subprocess.Popen(
        [
            program, "start", "--block", f"--address={ray_endpoints.ray_address}",
            "--node-ip-address=127.0.0.1", "--num-cpus=8", "--disable-usage-stats",
            f"--object-store-memory={STORE_BYTES}",
            "--min-worker-port=0", "--max-worker-port=0",
        ],
        env={**os.environ, **driver_environment(ray_endpoints.ray_token or "")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield _raylet(psutil.Process(node.pid))
    finally:
        family = psutil.Process(node.pid).children(recursive=True) if node.poll() is None else []
        for process in family:
            process.kill()
        node.kill()
        node.wait()
        _await_nodes(1)  # until then, actors of other tests would be sent to the dead one


def _raylet(node: psutil.Process) -> psutil.Process:
    """Return the raylet of a node once the cluster counts with it."""
    _await_nodes(2)
    (found,) = [one for one in node.children(recursive=True) if one.name() == "raylet"]
    return found


def _await_nodes(number: int) -> None:
    import ray

    end = time.monotonic() + 90
    while sum(one["Alive"] for one in ray.nodes()) != number:  # type: ignore[no-untyped-call]
        assert time.monotonic() < end, f"the cluster never had {number} nodes"
        time.sleep(0.1)


def _extractors(raylet: psutil.Process) -> list[psutil.Process]:
    """Return the processes of a node that extract at this moment."""
    found = []
    for process in raylet.children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith(BUSY):
                found.append(process)
        except psutil.Error:
            continue
    return found


async def test_s8_a_batch_survives_a_node_killed_in_the_middle(
    stores: Stores,
    namespace: NamespaceOfTest,
    second_node: psutil.Process,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from engine.ray_pool import RayPools

    monkeypatch.setattr(runner, "_BACKOFF_CAP", 0.2)
    bucket = make_bucket(namespace.id)
    collection = words_of(bucket, choice("slow@v1", seconds=0.3))
    texts = [f"word-{number}" for number in range(40)]
    narrow = with_engine(stores, block_rows=1, blocks_in_flight=6)
    batch = await submitted(narrow, bucket, texts_in(bucket, texts), collection)
    pools = RayPools(tmp_path, size=6)
    running = asyncio.create_task((await make_run(narrow, batch, pools)).run())
    try:
        async with asyncio.timeout(100):
            while not await asyncio.to_thread(_extractors, second_node):
                await asyncio.sleep(0.05)
            there = await asyncio.to_thread(_extractors, second_node)
            half = await reread(batch)

            os.kill(second_node.pid, signal.SIGKILL)

            await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        pools.close()

    assert half.blocks_open > 0
    assert there
    assert await said(collection) == sorted(texts)
    assert await errors_of(batch) == []
    assert {block.status for block in await blocks_of(batch)} == {BlockStatus.DONE}
    counts = (await reread(batch)).counts
    assert (counts.rows_succeeded, counts.documents_written) == (40, 40)
    assert await stores.vectors.count(collection.id) == 40
