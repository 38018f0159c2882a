import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient

from models.collection import Collection
from models.errors import Misconfigured, NotFound, StoreUnavailable
from models.ids import document_id, new_id
from models.points import DenseRows
from models.settings import QdrantSettings, Settings
from models.stores import Stores
from models.vectors import VectorStore, open_vectors
from tests.factories import VECTOR, make_bucket, make_collection
from tests.fixtures.stores import NamespaceOfTest

AXES = np.eye(4, dtype=np.float32)


@pytest.fixture
def vectors(stores: Stores) -> VectorStore:
    """The store of the test run."""
    return stores.vectors


@pytest.fixture(scope="module")
async def qdrant(settings: Settings) -> AsyncIterator[AsyncQdrantClient]:
    """Qdrant as somebody else sees it."""
    part = settings.qdrant
    key = part.api_key.get_secret_value() if part.api_key else ""
    client = AsyncQdrantClient(part.url, headers={"api-key": key}, check_compatibility=False)
    yield client
    await client.close()


@pytest.fixture
async def collection(namespace: NamespaceOfTest, vectors: VectorStore) -> AsyncIterator[Collection]:
    """A collection with one vector of four dimensions, ready for points."""
    made = make_collection(make_bucket(namespace.id), vectors=[VECTOR])
    await vectors.ensure(made)
    yield made
    await vectors.drop(made.id)


def point_ids(collection: Collection, count: int) -> list[str]:
    return [
        document_id(
            namespace_id=collection.namespace_id, collection_id=collection.id,
            source_id=f"obj_{number}", extractor="text@v1", ordinal=0,
        )
        for number in range(count)
    ]  # fmt: skip


async def write(
    vectors: VectorStore, collection: Collection, ids: list[str], *, block_id: str = "blk_1",
    epoch: int = 1, axis: int = 0,
) -> None:  # fmt: skip
    payload = {"block_id": block_id, "epoch": epoch, "collection_id": collection.id}
    await vectors.upsert(
        collection.id,
        ids,
        [payload] * len(ids),
        {"embedding": DenseRows(np.tile(AXES[axis], (len(ids), 1)))},
        block_id=block_id,
        epoch=epoch,
    )


async def stored(
    qdrant: AsyncQdrantClient, collection: Collection
) -> dict[str, tuple[str, int, int]]:
    """Return of each point its block, its epoch and the axis that it lies on."""
    points, _ = await qdrant.scroll(f"quiet_{collection.id}", limit=10_000, with_vectors=True)
    found = {}
    for point in points:
        assert isinstance(point.vector, dict)
        assert point.payload is not None
        axis = int(np.argmax(np.array(point.vector["embedding"])))
        found[str(point.id)] = (point.payload["block_id"], point.payload["epoch"], axis)
    return found


async def test_the_nearest_points_come_first(vectors: VectorStore, collection: Collection) -> None:
    ids = point_ids(collection, 4)
    for axis, point_id in enumerate(ids):
        await write(vectors, collection, [point_id], axis=axis)

    hits = await vectors.search(collection.id, [0.1, 0.2, 0.9, 0.3], using="embedding", limit=3)

    assert [hit.document_id for hit in hits] == [ids[2], ids[3], ids[1]]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


async def test_more_points_than_one_request_carries_are_all_written(
    vectors: VectorStore, collection: Collection
) -> None:
    ids = point_ids(collection, 1_101)

    await write(vectors, collection, ids)
    await write(vectors, collection, ids)

    assert await vectors.count(collection.id) == 1_101


async def test_no_points_are_no_failure(vectors: VectorStore, collection: Collection) -> None:
    await write(vectors, collection, [])
    await vectors.delete(collection.id, [])

    assert await vectors.count(collection.id) == 0


class Hasty(httpx.AsyncHTTPTransport):
    """A Qdrant that accepts what it need not wait for, and fails before it has written it."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT" and request.url.params.get("wait") != "true":
            accepted = {"result": {"operation_id": 1, "status": "acknowledged"}, "status": "ok"}
            return httpx.Response(200, json=accepted)
        return await super().handle_async_request(request)


async def test_s20_points_count_when_they_are_written_and_not_when_accepted(
    settings: Settings, vectors: VectorStore, qdrant: AsyncQdrantClient, collection: Collection
) -> None:
    part = settings.qdrant
    headers = {
        "api-key": part.api_key.get_secret_value() if part.api_key else "",
        "content-type": "application/json",
    }
    async with httpx.AsyncClient(
        base_url=part.url or "", headers=headers, transport=Hasty()
    ) as hasty:
        await write(VectorStore(qdrant, hasty, part), collection, point_ids(collection, 3))

    assert await vectors.count(collection.id) == 3


async def test_s23_a_stale_epoch_changes_no_point_of_its_block(
    vectors: VectorStore, collection: Collection, qdrant: AsyncQdrantClient
) -> None:
    ids = point_ids(collection, 3)
    await write(vectors, collection, ids[:2], epoch=2, axis=2)

    await write(vectors, collection, ids, epoch=1, axis=1)

    # A point that was not there is written; no search finds it, for no document names it.
    assert await stored(qdrant, collection) == {
        ids[0]: ("blk_1", 2, 2),
        ids[1]: ("blk_1", 2, 2),
        ids[2]: ("blk_1", 1, 1),
    }


async def test_the_same_and_the_next_epoch_may_write_again(
    vectors: VectorStore, collection: Collection, qdrant: AsyncQdrantClient
) -> None:
    [point_id] = point_ids(collection, 1)
    seen = []
    for epoch, axis in ((1, 1), (1, 2), (2, 3)):
        await write(vectors, collection, [point_id], epoch=epoch, axis=axis)
        seen.append((await stored(qdrant, collection))[point_id])

    assert seen == [("blk_1", 1, 1), ("blk_1", 1, 2), ("blk_1", 2, 3)]


async def test_a_later_batch_overwrites_whatever_its_epoch(
    vectors: VectorStore, collection: Collection, qdrant: AsyncQdrantClient
) -> None:
    """Epochs count the claims of one block, so those of two blocks say nothing of each other."""
    [point_id] = point_ids(collection, 1)
    await write(vectors, collection, [point_id], block_id="blk_old", epoch=3, axis=1)

    await write(vectors, collection, [point_id], block_id="blk_new", epoch=1, axis=2)

    assert (await stored(qdrant, collection))[point_id] == ("blk_new", 1, 2)


async def test_epochs_that_write_at_once_leave_the_later(
    vectors: VectorStore, collection: Collection, qdrant: AsyncQdrantClient
) -> None:
    ids = point_ids(collection, 20)
    await write(vectors, collection, ids, epoch=1, axis=0)

    await asyncio.gather(
        *(write(vectors, collection, ids, epoch=epoch, axis=epoch % 4) for epoch in (3, 1, 2, 3))
    )

    assert set((await stored(qdrant, collection)).values()) == {("blk_1", 3, 3)}


async def test_deleted_points_are_gone_and_others_stay(
    vectors: VectorStore, collection: Collection, qdrant: AsyncQdrantClient
) -> None:
    ids = point_ids(collection, 3)
    await write(vectors, collection, ids)

    await vectors.delete(collection.id, [ids[0], ids[2], point_ids(collection, 9)[8]])

    assert set(await stored(qdrant, collection)) == {ids[1]}


async def test_a_collection_is_ensured_by_several_processes_at_once(
    settings: Settings, namespace: NamespaceOfTest, qdrant: AsyncQdrantClient
) -> None:
    made = make_collection(make_bucket(namespace.id), vectors=[VECTOR])

    async def ensure() -> None:
        async with open_vectors(settings.qdrant) as vectors:
            await vectors.ensure(made)

    await asyncio.gather(*(ensure() for _ in range(4)))

    found = await qdrant.get_collection(f"quiet_{made.id}")
    assert set(found.payload_schema) == {"object_id", "batch_id", "block_id"}
    await qdrant.delete_collection(f"quiet_{made.id}")


async def test_indexes_that_a_crash_left_out_are_built_later(
    settings: Settings, vectors: VectorStore, collection: Collection, qdrant: AsyncQdrantClient
) -> None:
    await qdrant.delete_payload_index(f"quiet_{collection.id}", "batch_id")

    async with open_vectors(settings.qdrant) as fresh:
        await fresh.ensure(collection)

    found = await qdrant.get_collection(f"quiet_{collection.id}")
    assert set(found.payload_schema) == {"object_id", "batch_id", "block_id"}


async def test_a_vector_that_qdrant_cannot_hold_is_not_passed_over(
    vectors: VectorStore, namespace: NamespaceOfTest
) -> None:
    wrong = VECTOR.model_copy(update={"dimension": 0})
    made = make_collection(make_bucket(namespace.id), vectors=[wrong])

    with pytest.raises(StoreUnavailable):
        await vectors.ensure(made)


async def test_what_qdrant_forgot_is_made_again_at_the_next_attempt(
    vectors: VectorStore, collection: Collection, qdrant: AsyncQdrantClient
) -> None:
    """Qdrant may be wiped and rebuilt while a process goes on."""
    await qdrant.delete_collection(f"quiet_{collection.id}")
    with pytest.raises(StoreUnavailable):
        await write(vectors, collection, point_ids(collection, 1))

    await vectors.ensure(collection)
    await write(vectors, collection, point_ids(collection, 1))

    assert await vectors.count(collection.id) == 1


async def test_a_collection_that_was_never_written_has_nothing_to_search(
    vectors: VectorStore,
) -> None:
    with pytest.raises(NotFound, match="no vectors yet"):
        await vectors.search(new_id("col"), [0.0] * 4, using="embedding", limit=1)


async def test_collections_do_not_see_one_another(
    vectors: VectorStore, collection: Collection, namespace: NamespaceOfTest
) -> None:
    other = make_collection(make_bucket(namespace.id), vectors=[VECTOR])
    await vectors.ensure(other)
    await write(vectors, other, point_ids(other, 3))

    assert await vectors.search(collection.id, [1, 0, 0, 0], using="embedding", limit=9) == []
    await vectors.drop(other.id)


async def test_a_qdrant_that_nobody_serves_is_unavailable(namespace: NamespaceOfTest) -> None:
    made = make_collection(make_bucket(namespace.id), vectors=[VECTOR])
    ids = point_ids(made, 1_100)
    async with open_vectors(QdrantSettings(url="http://127.0.0.1:1")) as vectors:
        calls: list[Any] = [
            vectors.ensure(made),
            write(vectors, made, ids),
            vectors.delete(made.id, ids),
            vectors.search(made.id, [0] * 4, using="embedding", limit=1),
            vectors.count(made.id),
            vectors.drop(made.id),
        ]
        for call in calls:
            with pytest.raises(StoreUnavailable):
                await call


async def test_without_an_address_the_hint_names_the_setting() -> None:
    with pytest.raises(Misconfigured) as refused:
        async with open_vectors(QdrantSettings()):
            pass

    assert "STRATA_QDRANT__URL" in refused.value.hint
