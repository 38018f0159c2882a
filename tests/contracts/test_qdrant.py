"""Collections, points and payloads: what is written, what is refused, what stays as it was."""

import uuid
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from tests.contracts.qdrant_points import (
    COUNT,
    INDEXES,
    PLANE,
    SPARSE,
    TERMS,
    TEXT,
    VECTORS,
    make_points,
    point_id,
)

pytest_plugins = ["tests.contracts.qdrant_server"]

SMALL = models.VectorParams(size=2, distance=models.Distance.DOT)
ONE, TWO = [1.0, 0.0], [0.0, 1.0]


def point(one: int | str, vector: Any = ONE, **payload: Any) -> models.PointStruct:
    return models.PointStruct(id=one, vector=vector, payload=payload)


def at_most(epoch: int) -> models.Filter:
    condition = models.FieldCondition(key="epoch", range=models.Range(lte=epoch))
    return models.Filter(must=[condition])


def is_kind(kind: str) -> models.Filter:
    condition = models.FieldCondition(key="kind", match=models.MatchValue(value=kind))
    return models.Filter(must=[condition])


async def payload_of(client: AsyncQdrantClient, collection: str, one: int | str) -> dict[str, Any]:
    [record] = await client.retrieve(collection, [one])
    return record.payload or {}


def refused(status: int) -> Any:
    return pytest.raises(UnexpectedResponse, match=f"{status} ")


async def test_collection_tells_how_it_was_made(qdrant: AsyncQdrantClient, library: str) -> None:
    info = await qdrant.get_collection(library)

    assert info.config.params.vectors == VECTORS
    assert info.config.params.sparse_vectors is not None
    assert info.config.params.sparse_vectors.keys() == SPARSE.keys()
    assert info.points_count == COUNT
    assert {name: index.data_type for name, index in info.payload_schema.items()} == INDEXES
    assert info.payload_schema["rank"].points == COUNT
    assert info.status == models.CollectionStatus.GREEN
    assert library in {one.name for one in (await qdrant.get_collections()).collections}


async def test_create_twice_is_a_conflict(qdrant: AsyncQdrantClient, fresh_name: str) -> None:
    assert not await qdrant.collection_exists(fresh_name)
    await qdrant.create_collection(fresh_name, vectors_config=SMALL)

    with refused(409):
        await qdrant.create_collection(fresh_name, vectors_config=SMALL)

    assert await qdrant.collection_exists(fresh_name)
    assert await qdrant.delete_collection(fresh_name)
    assert not await qdrant.delete_collection(fresh_name)


async def test_missing_collection_is_not_found(qdrant: AsyncQdrantClient) -> None:
    for call in (
        qdrant.get_collection("nowhere"),
        qdrant.count("nowhere"),
        qdrant.query_points("nowhere", query=ONE),
        qdrant.upsert("nowhere", [point(1)]),
    ):
        with refused(404):
            await call


async def test_points_come_back_as_written(qdrant: AsyncQdrantClient, library: str) -> None:
    wanted = [point_id(1), point_id(2), 999_999]

    records = await qdrant.retrieve(library, wanted, with_vectors=True)

    written = {one.id: one for one in make_points()}
    assert {record.id for record in records} == set(wanted[:2])
    for record in records:
        assert record.payload == written[record.id].payload
        assert isinstance(record.vector, dict)
        plane = written[record.id].vector[PLANE]  # type: ignore[call-overload, index]
        assert record.vector[PLANE] == pytest.approx(plane, abs=1e-6)
        assert isinstance(record.vector[TERMS], models.SparseVector)


async def test_scroll_gives_every_point_once(qdrant: AsyncQdrantClient, library: str) -> None:
    seen: list[Any] = []
    offset: Any = None
    while True:
        page, offset = await qdrant.scroll(library, limit=37, offset=offset, with_payload=False)
        seen += [record.id for record in page]
        if offset is None:
            break

    assert len(seen) == COUNT
    assert set(seen) == {point_id(number) for number in range(COUNT)}


async def test_scroll_in_order_pages_by_value(qdrant: AsyncQdrantClient, library: str) -> None:
    order = models.OrderBy(key="rank", direction=models.Direction.ASC, start_from=48)

    page, following = await qdrant.scroll(library, order_by=order, limit=COUNT)

    assert following is None
    assert [(record.payload or {})["rank"] for record in page] == [48] * 8 + [49] * 8


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        ({TEXT: [1.0] * 3}, "dim"),
        ({TEXT: [1.0] * 16, "typo": [1.0]}, "typo"),
        ([1.0] * 16, "vector name"),
    ],
)
async def test_wrong_vector_refuses_the_whole_batch(
    qdrant: AsyncQdrantClient, library: str, vector: Any, reason: str
) -> None:
    good = point(1_000, {TEXT: [1.0] * 16})

    with pytest.raises(UnexpectedResponse, match="400 ") as error:
        await qdrant.upsert(library, [good, point(1_001, vector)])

    assert reason in error.value.content.decode()
    assert (await qdrant.count(library)).count == COUNT


async def test_wrong_query_is_refused(qdrant: AsyncQdrantClient, library: str) -> None:
    for parts in (
        {"query": [1.0] * 3, "using": TEXT},
        {"query": [1.0] * 16, "using": "typo"},
        {"query": [1.0] * 16},
    ):
        with refused(400):
            await qdrant.query_points(library, **parts)
    with refused(404):
        await qdrant.query_points(library, query=999_999, using=TEXT)


async def test_upsert_replaces_the_whole_point(qdrant: AsyncQdrantClient, scratch: str) -> None:
    await qdrant.upsert(scratch, [point(2, {PLANE: [1.0, 2.0, 3.0, 4.0]}, color="red")])

    [record] = await qdrant.retrieve(scratch, [2], with_vectors=True)
    assert record.payload == {"color": "red"}
    assert record.vector == {PLANE: [1.0, 2.0, 3.0, 4.0]}
    assert (await qdrant.count(scratch)).count == COUNT


async def test_columns_are_upserted_like_rows(qdrant: AsyncQdrantClient, fresh_name: str) -> None:
    await qdrant.create_collection(fresh_name, vectors_config=SMALL)
    columns = models.Batch(ids=[1, 2], vectors=[ONE, TWO], payloads=[{"a": 1}, {"a": 2}])

    await qdrant.upsert(fresh_name, columns)

    records = await qdrant.retrieve(fresh_name, [1, 2], with_vectors=True)
    assert {record.id: (record.vector, record.payload) for record in records} == {
        1: (ONE, {"a": 1}),
        2: (TWO, {"a": 2}),
    }


async def test_stale_epoch_changes_nothing_but_new_ids_are_inserted(
    qdrant: AsyncQdrantClient, fresh_name: str
) -> None:
    await qdrant.create_collection(fresh_name, vectors_config=SMALL)
    await qdrant.upsert(fresh_name, [point(1, epoch=2), point(2, epoch=1)])

    stale = [point(one, TWO, epoch=1, late=True) for one in (1, 2, 3)]
    await qdrant.upsert(fresh_name, stale, update_filter=at_most(1))

    records = await qdrant.retrieve(fresh_name, [1, 2, 3], with_vectors=True)
    assert {record.id: (record.vector, record.payload) for record in records} == {
        1: (ONE, {"epoch": 2}),
        2: (TWO, {"epoch": 1, "late": True}),
        3: (TWO, {"epoch": 1, "late": True}),
    }


async def test_update_mode_keeps_to_new_or_to_old_points(
    qdrant: AsyncQdrantClient, fresh_name: str
) -> None:
    await qdrant.create_collection(fresh_name, vectors_config=SMALL)
    await qdrant.upsert(fresh_name, [point(1, by="first")])

    inserted = [point(1, by="insert"), point(2, by="insert")]
    await qdrant.upsert(fresh_name, inserted, update_mode=models.UpdateMode.INSERT_ONLY)
    updated = [point(2, by="update"), point(3, by="update")]
    await qdrant.upsert(fresh_name, updated, update_mode=models.UpdateMode.UPDATE_ONLY)

    records, _ = await qdrant.scroll(fresh_name)
    by = {record.id: (record.payload or {})["by"] for record in records}
    assert by == {1: "first", 2: "update"}


async def test_points_need_no_vectors(qdrant: AsyncQdrantClient, fresh_name: str) -> None:
    await qdrant.create_collection(fresh_name, vectors_config={})
    await qdrant.create_payload_index(fresh_name, "kind", models.PayloadSchemaType.KEYWORD)
    first = str(uuid.uuid4())
    await qdrant.upsert(fresh_name, [point(first, {}, kind="film"), point(2, {}, kind="book")])

    records, _ = await qdrant.scroll(fresh_name, scroll_filter=is_kind("film"), with_vectors=True)
    assert [(record.id, record.payload, record.vector) for record in records] == [
        (first, {"kind": "film"}, {})
    ]
    assert (await qdrant.get_collection(fresh_name)).config.params.vectors == {}
    with refused(400):
        await qdrant.upsert(fresh_name, [point(3, {TEXT: ONE})])


async def test_payload_is_set_and_merged(qdrant: AsyncQdrantClient, scratch: str) -> None:
    await qdrant.set_payload(scratch, {"kind": "play", "extra": 1}, points=[point_id(4)])
    await qdrant.set_payload(scratch, {"deep": {"b": 2}}, points=[point_id(4)])
    await qdrant.set_payload(scratch, {"c": 3}, points=[point_id(4)], key="deep")
    await qdrant.set_payload(scratch, {"seen": True}, points=is_kind("song"))

    payload = await payload_of(qdrant, scratch, point_id(4))
    assert (payload["kind"], payload["extra"], payload["rank"]) == ("play", 1, 4)
    assert payload["deep"] == {"b": 2, "c": 3}
    assert (await payload_of(qdrant, scratch, point_id(2)))["seen"] is True
    assert "seen" not in await payload_of(qdrant, scratch, point_id(3))
    assert (await qdrant.count(scratch, is_kind("play"))).count == 1


async def test_payload_is_deleted_overwritten_and_cleared(
    qdrant: AsyncQdrantClient, scratch: str
) -> None:
    await qdrant.delete_payload(scratch, keys=["rank", "place"], points=[point_id(4)])
    await qdrant.overwrite_payload(scratch, {"only": "this"}, points=[point_id(5)])
    await qdrant.clear_payload(scratch, points_selector=[point_id(6)])

    assert not {"rank", "place"} & (await payload_of(qdrant, scratch, point_id(4))).keys()
    assert await payload_of(qdrant, scratch, point_id(5)) == {"only": "this"}
    assert await payload_of(qdrant, scratch, point_id(6)) == {}


async def test_vectors_are_updated_and_deleted(qdrant: AsyncQdrantClient, scratch: str) -> None:
    moved = models.PointVectors(id=2, vector={PLANE: [4.0, 3.0, 2.0, 1.0]})
    await qdrant.update_vectors(scratch, [moved])
    await qdrant.delete_vectors(scratch, vectors=[TEXT, TERMS], points=[2])

    [record] = await qdrant.retrieve(scratch, [2], with_vectors=True)
    assert isinstance(record.vector, dict)
    assert record.vector[PLANE] == [4.0, 3.0, 2.0, 1.0]
    assert not {TEXT, TERMS} & record.vector.keys()
    assert (record.payload or {})["number"] == 2
    with refused(400):
        await qdrant.delete_vectors(scratch, vectors=["typo"], points=[2])


async def test_points_are_deleted_by_id_and_by_filter(
    qdrant: AsyncQdrantClient, scratch: str
) -> None:
    await qdrant.delete(scratch, models.PointIdsList(points=[point_id(0), point_id(1), 10**6]))
    assert (await qdrant.count(scratch)).count == COUNT - 2

    await qdrant.delete(scratch, models.FilterSelector(filter=is_kind("song")))
    assert (await qdrant.count(scratch, is_kind("song"))).count == 0
    assert (await qdrant.count(scratch)).count == COUNT - 2 - 133


async def test_batch_update_runs_in_order(qdrant: AsyncQdrantClient, fresh_name: str) -> None:
    await qdrant.create_collection(fresh_name, vectors_config=SMALL)
    payload = models.SetPayload(payload={"a": 1}, points=[2])

    results = await qdrant.batch_update_points(
        fresh_name,
        [
            models.UpsertOperation(upsert=models.PointsList(points=[point(1), point(2)])),
            models.SetPayloadOperation(set_payload=payload),
            models.DeleteOperation(delete=models.PointIdsList(points=[1])),
        ],
    )

    assert [result.status for result in results] == [models.UpdateStatus.COMPLETED] * 3
    records, _ = await qdrant.scroll(fresh_name)
    assert [(record.id, record.payload) for record in records] == [(2, {"a": 1})]


async def test_payload_index_can_go_again(qdrant: AsyncQdrantClient, scratch: str) -> None:
    tokens = models.TextIndexParams(
        type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.PREFIX, lowercase=True
    )
    await qdrant.create_payload_index(scratch, "note", tokens)
    await qdrant.delete_payload_index(scratch, "kind")

    schema = (await qdrant.get_collection(scratch)).payload_schema
    assert "kind" not in schema
    assert schema["note"].data_type == models.PayloadSchemaType.TEXT
    prefix = models.FieldCondition(key="note", match=models.MatchText(text="SHO"))
    assert (await qdrant.count(scratch, models.Filter(must=[prefix]))).count == COUNT // 5


async def test_alias_stands_for_its_collection(
    qdrant: AsyncQdrantClient, library: str, fresh_name: str
) -> None:
    alias, renamed = f"{fresh_name}-alias", f"{fresh_name}-renamed"
    await qdrant.create_collection(fresh_name, vectors_config=SMALL)
    create = models.CreateAlias(collection_name=library, alias_name=alias)
    await qdrant.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    assert (await qdrant.count(alias)).count == COUNT
    assert await qdrant.collection_exists(alias)

    switch: list[models.AliasOperations] = [
        models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)),
        models.CreateAliasOperation(
            create_alias=models.CreateAlias(collection_name=fresh_name, alias_name=alias)
        ),
        models.RenameAliasOperation(
            rename_alias=models.RenameAlias(old_alias_name=alias, new_alias_name=renamed)
        ),
    ]
    await qdrant.update_collection_aliases(switch)

    await qdrant.upsert(renamed, [point(1)])
    assert (await qdrant.count(fresh_name)).count == 1
    aliases = (await qdrant.get_collection_aliases(fresh_name)).aliases
    assert [one.alias_name for one in aliases] == [renamed]
    await qdrant.delete_collection(fresh_name)
    assert renamed not in {one.alias_name for one in (await qdrant.get_aliases()).aliases}


async def test_settings_change_after_creation(qdrant: AsyncQdrantClient, fresh_name: str) -> None:
    await qdrant.create_collection(fresh_name, vectors_config=SMALL, metadata={"a": 1})
    await qdrant.upsert(fresh_name, [point(1), point(2, TWO)])

    await qdrant.update_collection(
        fresh_name, hnsw_config=models.HnswConfigDiff(m=24), metadata={"b": 2}
    )

    config = (await qdrant.get_collection(fresh_name)).config
    assert (config.hnsw_config.m, config.hnsw_config.ef_construct) == (24, 100)
    assert config.metadata == {"a": 1, "b": 2}
    assert (await qdrant.count(fresh_name)).count == 2


async def test_vector_can_be_added_later(qdrant: AsyncQdrantClient, fresh_name: str) -> None:
    await qdrant.create_collection(fresh_name, vectors_config={"old": SMALL})
    await qdrant.upsert(fresh_name, [point(1, {"old": ONE})])
    added = models.DenseVectorNameConfig(
        dense=models.DenseVectorConfig(size=3, distance=models.Distance.COSINE)
    )

    await qdrant.create_vector_name(fresh_name, "new", added)
    await qdrant.update_vectors(
        fresh_name, [models.PointVectors(id=1, vector={"new": [1.0, 0.0, 0.0]})]
    )

    found = await qdrant.query_points(fresh_name, query=[1.0, 0.0, 0.0], using="new")
    assert [hit.id for hit in found.points] == [1]
    assert found.points[0].score == pytest.approx(1.0)
    vectors = (await qdrant.get_collection(fresh_name)).config.params.vectors
    assert isinstance(vectors, dict)
    assert vectors.keys() == {"old", "new"}
