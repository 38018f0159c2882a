"""What only the embedded server is asked: keys, kills, index builds, and its engine's known bug."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import psutil
import pytest
import qdrant_edge
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.version_check import is_compatible
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

if TYPE_CHECKING:  # the plugin is to be imported by pytest, which rewrites its asserts
    from tests.contracts.qdrant_server import QdrantServer

pytest_plugins = ["tests.contracts.qdrant_server"]

SIZE = 64
DENSE = models.VectorParams(size=SIZE, distance=models.Distance.COSINE)


@pytest.fixture
async def client(qdrant_server: QdrantServer) -> AsyncIterator[AsyncQdrantClient]:
    client = qdrant_server.connect()
    yield client
    await client.close()


@pytest.fixture
async def eager(client: AsyncQdrantClient) -> AsyncIterator[str]:
    """A collection that is worth an index from a few thousand points on."""
    name = f"eager-{uuid.uuid4().hex}"
    threshold = models.OptimizersConfigDiff(indexing_threshold=500)
    await client.create_collection(name, vectors_config=DENSE, optimizers_config=threshold)
    yield name
    await client.delete_collection(name)


def make_rows(ids: range, **payload: Any) -> list[models.PointStruct]:
    random = np.random.default_rng(ids.start)
    vectors = random.normal(size=(len(ids), SIZE)) + np.eye(SIZE)[np.array(ids) % SIZE] * 9
    return [
        models.PointStruct(id=one, vector=vector.tolist(), payload={"number": one, **payload})
        for one, vector in zip(ids, vectors, strict=True)
    ]


async def every_id(client: AsyncQdrantClient, collection: str) -> set[Any]:
    records, _ = await client.scroll(collection, limit=100_000, with_payload=False)
    return {record.id for record in records}


@pytest.mark.parametrize("key", ["wrong", "ключ"])
def test_wrong_key_is_unauthorized(qdrant_server: QdrantServer, key: str) -> None:
    for sent in ({}, {b"api-key": key}, {b"authorization": f"Bearer {key}"}):
        headers = [(name, value.encode()) for name, value in sent.items()]
        answer = httpx.get(f"{qdrant_server.url}/collections", headers=headers, trust_env=False)
        assert answer.status_code == 401
        assert "error" in answer.json()["status"]


async def test_client_with_a_wrong_key_is_told(qdrant_server: QdrantServer) -> None:
    client = qdrant_server.connect(api_key="wrong")

    with pytest.raises(UnexpectedResponse, match="401 "):
        await client.get_collections()

    await client.close()


def test_key_is_taken_from_either_header(qdrant_server: QdrantServer) -> None:
    key = qdrant_server.api_key
    for headers in ({"api-key": key}, {"authorization": f"Bearer {key}"}):
        answer = httpx.get(f"{qdrant_server.url}/collections", headers=headers, trust_env=False)
        assert answer.status_code == 200


def test_health_and_version_need_no_key(qdrant_server: QdrantServer) -> None:
    for path in ("/readyz", "/healthz", "/livez"):
        assert httpx.get(qdrant_server.url + path, trust_env=False).status_code == 200
    version = httpx.get(qdrant_server.url, trust_env=False).json()["version"]
    assert is_compatible("1.20.0", version)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/collections/nowhere/snapshots", b"{}", 501),
        ("/collections/nowhere/points/typo", b"{}", 404),
        ("/collections/{eager}/points/count", b"{not json", 400),
        ("/collections/{eager}/points/count", b"[]", 400),
        ("/collections/{eager}/points/count", b'{"filter": {"typo": []}}', 400),
        ("/collections/{eager}/points/scroll", b'{"limit": 0}', 400),
        ("/collections/{eager}/points", b'{"ids": ["no-uuid"]}', 400),
        ("/collections/{eager}/points/query", b'{"query": {"text": "a", "model": "b"}}', 400),
    ],
)
def test_what_is_not_understood_is_refused(
    qdrant_server: QdrantServer, eager: str, path: str, body: bytes, status: int
) -> None:
    answer = httpx.post(
        qdrant_server.url + path.format(eager=eager),
        content=body,
        headers={"api-key": qdrant_server.api_key},
        trust_env=False,
    )

    assert answer.status_code == status
    assert answer.json()["status"]["error"]


async def test_kill_loses_no_acknowledged_write(own_qdrant_server: QdrantServer) -> None:
    client = own_qdrant_server.connect()
    await client.create_collection("killed", vectors_config=DENSE)
    await client.create_payload_index("killed", "number", models.PayloadSchemaType.INTEGER)
    acknowledged: set[int] = set()

    async def write(start: int) -> None:
        for first in range(start, start + 1_000_000, 50):
            batch = range(first, first + 50)
            try:
                await client.upsert("killed", make_rows(batch), wait=True)
            except (ResponseHandlingException, UnexpectedResponse):
                return
            acknowledged.update(batch)

    writers = [asyncio.create_task(write(start * 10_000_000)) for start in range(4)]
    async with asyncio.timeout(40):
        while len(acknowledged) < 1_000:
            await asyncio.sleep(0.01)
    await asyncio.to_thread(own_qdrant_server.kill)
    await asyncio.gather(*writers)
    await client.close()
    await asyncio.to_thread(own_qdrant_server.start)

    client = own_qdrant_server.connect()
    assert acknowledged <= await every_id(client, "killed")
    assert "number" in (await client.get_collection("killed")).payload_schema
    await client.close()


async def test_kill_during_an_index_build_loses_nothing(own_qdrant_server: QdrantServer) -> None:
    client = own_qdrant_server.connect()
    threshold = models.OptimizersConfigDiff(indexing_threshold=500)
    await client.create_collection("killed", vectors_config=DENSE, optimizers_config=threshold)
    for first in range(0, 4_000, 1_000):
        await client.upsert("killed", make_rows(range(first, first + 1_000)))
    await asyncio.to_thread(own_qdrant_server.optimize, "killed", wait=False)
    builders = await asyncio.to_thread(own_qdrant_server.await_build)
    await client.upsert("killed", make_rows(range(9_000, 9_100)))
    await client.close()

    await asyncio.to_thread(own_qdrant_server.kill)
    _, alive = psutil.wait_procs(builders, timeout=20)
    await asyncio.to_thread(own_qdrant_server.start)

    client = own_qdrant_server.connect()
    assert alive == []
    assert await every_id(client, "killed") == {*range(4_000), *range(9_000, 9_100)}
    assert len(list((own_qdrant_server.data / "shards").iterdir())) == 1
    await client.close()


async def test_restart_finds_everything(own_qdrant_server: QdrantServer) -> None:
    client = own_qdrant_server.connect()
    await client.create_collection("kept", vectors_config=DENSE)
    await client.create_collection("gone", vectors_config=DENSE)
    await client.upsert("kept", make_rows(range(100)))
    alias = models.CreateAlias(collection_name="kept", alias_name="also")
    await client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    await client.delete_collection("gone")
    await client.close()

    assert await asyncio.to_thread(own_qdrant_server.stop) == 0
    await asyncio.to_thread(own_qdrant_server.start)

    client = own_qdrant_server.connect()
    assert [one.name for one in (await client.get_collections()).collections] == ["kept"]
    assert await every_id(client, "also") == set(range(100))
    assert len(list((own_qdrant_server.data / "shards").iterdir())) == 1
    await client.close()


async def test_index_is_built_when_writes_pause(client: AsyncQdrantClient, eager: str) -> None:
    await client.upsert(eager, make_rows(range(3_000)))
    before = await client.get_collection(eager)

    deadline = time.monotonic() + 20
    while (after := await client.get_collection(eager)).status != "green":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)

    assert (before.status, before.indexed_vectors_count) == ("yellow", 0)
    assert after.indexed_vectors_count == after.points_count == 3_000


@pytest.mark.long
async def test_writers_go_on_during_an_index_build(
    client: AsyncQdrantClient, qdrant_server: QdrantServer, eager: str
) -> None:
    await client.create_payload_index(eager, "round", models.PayloadSchemaType.INTEGER)
    for first in range(0, 4_000, 1_000):
        await client.upsert(eager, make_rows(range(first, first + 1_000), round=0))
    building = asyncio.create_task(asyncio.to_thread(qdrant_server.optimize, eager))
    statuses: set[str] = set()

    async def write(writer: int) -> int:
        """Insert new points, change old ones and delete some, until the index is built."""
        rounds = 0
        while not building.done():
            rounds += 1
            new = range(10_000 * (writer + 1) + rounds * 5, 10_000 * (writer + 1) + rounds * 5 + 5)
            old = range(writer * 500, writer * 500 + 20)
            await client.upsert(eager, [*make_rows(new, round=rounds)])
            await client.upsert(eager, [*make_rows(old, round=rounds)])
            await client.delete(eager, models.PointIdsList(points=[new[0], old[0]]))
            statuses.add((await client.get_collection(eager)).status)
        return rounds

    counts = await asyncio.gather(*(write(writer) for writer in range(8)))
    await building

    expected = set(range(4_000)) - {writer * 500 for writer in range(8)}
    for writer, rounds in enumerate(counts):
        for done in range(1, rounds + 1):
            expected.update(10_000 * (writer + 1) + done * 5 + at for at in range(1, 5))
    assert "yellow" in statuses
    assert min(counts) >= 1
    assert await every_id(client, eager) == expected
    for writer, rounds in enumerate(counts):
        [record] = await client.retrieve(eager, [writer * 500 + 7])
        assert (record.payload or {})["round"] == rounds
    info = await client.get_collection(eager)
    assert (info.indexed_vectors_count or 0) >= 3_900


def test_engine_still_takes_true_for_the_integer_one(tmp_path: Path) -> None:
    """When this fails the bug is gone, and with it the reason for numpy.bool_ in `filters`."""
    params = qdrant_edge.EdgeVectorParams(size=1, distance=qdrant_edge.Distance.Dot)
    shard = qdrant_edge.EdgeShard.create(str(tmp_path), qdrant_edge.EdgeConfig(vectors=params))
    point = qdrant_edge.Point(1, [1.0], {"flag": True})
    shard.update(qdrant_edge.UpdateOperation.upsert_points([point]))

    def count(value: Any) -> int:
        condition = qdrant_edge.FieldCondition("flag", match=qdrant_edge.MatchValue(value))
        accepted = qdrant_edge.Filter(must=[condition])
        return shard.count(qdrant_edge.CountRequest(exact=True, filter=accepted))

    assert (count(True), count(np.bool_(True))) == (0, 1)
    shard.close()
