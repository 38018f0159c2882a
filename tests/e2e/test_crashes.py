"""Processes killed with -9 in the middle of a batch: nothing is lost, nothing doubled."""

import asyncio
import os
import signal

import psutil
import pytest

from models.embedded.servers import EmbeddedServers
from models.embedded.sessions import MARK
from models.vectors import VectorStore
from tests.e2e.flows import (
    Draft,
    await_end,
    draft_texts,
    open_api,
    operation,
    read_batch,
    read_documents,
)
from tests.fixtures.stack import GraphQL, Stack
from tests.fixtures.stores import NamespaceOfTest

pytestmark = [pytest.mark.long, pytest.mark.stack, pytest.mark.timeout(360)]
GRACE_SECONDS = 15  # until who is asked to end is ended
TEXTS = [f"Text number {n}: " + "some words to be embedded, " * (n % 40) for n in range(600)]


async def test_s1_a_batch_survives_the_death_of_worker_engine_and_its_processes_on_ray(
    stack: Stack,
    servers: EmbeddedServers,
    stack_vectors: VectorStore,
    namespace: NamespaceOfTest,
) -> None:
    async with open_api(stack, namespace) as api:
        draft = await draft_texts(api, TEXTS)
        await api.data(operation("submitBatch"), batchId=draft.batch_id)
        await _await_blocks(api, draft.batch_id, 3)

        on_ray = _actors(servers)
        assert {name.split(".")[0] for name in on_ray.values()} == {
            "ray::Conductor", "ray::ExtractorProcess",
        }  # fmt: skip
        for name in ("worker", "engine"):
            pid = stack.processes[name].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        for pid in on_ray:
            os.kill(pid, signal.SIGKILL)
        half = await read_batch(api, draft.batch_id)
        assert half["status"] == "PROCESSING"
        for name in ("worker", "engine"):
            stack.processes[name].launch()

        batch = await await_end(api, draft.batch_id)

        assert batch["status"] == "COMPLETED", batch
        assert batch["counts"]["documentsWritten"] == len(TEXTS)
        documents = await read_documents(api, draft.collection_id)
        assert sorted(one["objectId"] for one in documents) == sorted(draft.object_ids)
        assert await stack_vectors.count(draft.collection_id) == len(TEXTS)


async def test_s12_processes_are_replaced_by_sigterm_while_batches_run(
    stack: Stack, namespace: NamespaceOfTest
) -> None:
    async with open_api(stack, namespace) as api:
        draft = await draft_texts(api, TEXTS[:10])
        batches = [draft.batch_id, *[await _again(api, draft) for _ in range(19)]]
        for batch_id in batches:
            await api.data(operation("submitBatch"), batchId=batch_id)

        for name in ("worker", "engine", "worker"):
            replaced = stack.processes[name]
            begun = asyncio.get_running_loop().time()
            replaced.stop()
            assert asyncio.get_running_loop().time() - begun < GRACE_SECONDS
            replaced.launch()
        ended = [await await_end(api, batch_id) for batch_id in batches]

        assert {batch["status"] for batch in ended} == {"COMPLETED"}
        assert {batch["counts"]["rowsFailed"] for batch in ended} == {0}
        documents = await read_documents(api, draft.collection_id)
        assert sorted(one["objectId"] for one in documents) == sorted(draft.object_ids)


async def _again(api: GraphQL, draft: Draft) -> str:
    """Draft another batch of the same objects."""
    made = await api.data(
        operation("createBatch"), bucketId=draft.bucket_id, objectIds=draft.object_ids
    )
    batch_id: str = made["createBatch"]["batch"]["id"]
    return batch_id


async def _await_blocks(api: GraphQL, batch_id: str, blocks: int) -> None:
    while (await read_batch(api, batch_id))["progress"]["blocksDone"] < blocks:
        await asyncio.sleep(0.05)


def _actors(servers: EmbeddedServers) -> dict[int, str]:
    """Our conductor and extractor processes: those of this test run's servers only."""
    found: dict[int, str] = {}
    for process in psutil.process_iter(["cmdline"]):
        title = (process.info["cmdline"] or [""])[0]
        if title.startswith(("ray::Conductor", "ray::ExtractorProcess")):
            ours = process.environ().get(MARK) == str(servers.folder.path)
            if ours:
                found[process.pid] = title
    return found
