"""Reading documents: filters decide as the engine's do, pages go in the order of a field."""

import itertools
from typing import Any

import pytest

from engine.filters import compile_filter
from models.collection import Collection
from models.document import Document
from models.errors import InvalidInput, InvalidMapping, NotFound
from models.fields import FieldSpec, FieldType
from models.filters import Condition, Filter, FilterOperator
from models.ordering import Order, Position, read_ordered_page
from models.stores import Stores
from tests.factories import (
    make_batch,
    make_block,
    make_bucket,
    make_collection,
    make_document,
    store,
)
from tests.fixtures.stores import NamespaceOfTest
from workers.documents import (
    DocumentSelection,
    count_facet,
    derived_from,
    document_order,
    select_documents,
)

Op = FilterOperator
FIELDS = [
    FieldSpec(name="any", type=FieldType.OBJECT),
    FieldSpec(name="at", type=FieldType.DATETIME),
    FieldSpec(name="text", type=FieldType.TEXT),
]
VALUES: list[dict[str, Any]] = [
    {}, {"any": None}, {"any": 1}, {"any": 1.0}, {"any": 2.5}, {"any": -3}, {"any": True},
    {"any": False}, {"any": "1"}, {"any": "b"}, {"any": ""}, {"any": {"deep": 1}},
    {"any": {"deep": "x"}}, {"at": "2026-01-01T00:00:00Z"}, {"at": "2026-01-01T01:00:00+01:00"},
    {"at": "2025-12-31T23:59:59"}, {"at": "soon"},
]  # fmt: skip


def where(path: str, operator: FilterOperator, value: Any = None) -> Filter:
    return Filter(condition=Condition(path=path, operator=operator, value=value))


async def collection_of(
    namespace: NamespaceOfTest, rows: list[dict[str, Any]]
) -> tuple[Collection, list[Document]]:
    """Store a collection with one document for each row of fields."""
    collection = make_collection(make_bucket(namespace.id), output_fields=FIELDS)
    block = make_block(make_batch(namespace.id), collection_id=collection.id)
    documents = [make_document(block, fields=row) for row in rows]
    await store(collection, *documents)
    return collection, documents


COMPARED = [
    where("any", operator, value)
    for operator, value in itertools.product(
        [Op.EQ, Op.NE, Op.LT, Op.LTE, Op.GT, Op.GTE], [1, 2.5, "1", "b"]
    )
]
TREES = [
    *COMPARED,
    where("any", Op.EQ, True),
    where("any", Op.NE, False),
    where("any", Op.EXISTS, True),
    where("any", Op.EXISTS, False),
    where("any", Op.EXISTS),
    where("any", Op.IN, [1, "b", True]),
    where("any.deep", Op.EQ, 1),
    where("any.deep", Op.NE, 1),
    where("at", Op.EQ, "2026-01-01T00:00:00Z"),
    where("at", Op.NE, "2026-01-01T00:00:00Z"),
    where("at", Op.LT, "2026-01-01T00:00:00Z"),
    where("at", Op.GTE, "2026-01-01T02:00:00+02:00"),
    where("at", Op.IN, ["2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z"]),
    Filter(negated=where("any", Op.GT, 1)),
    Filter(all_of=[where("any", Op.GTE, 1), where("any", Op.LT, 2)]),
    Filter(any_of=[where("any", Op.EQ, "b"), Filter(negated=where("any", Op.EXISTS))]),
]


async def test_the_database_decides_as_the_engine_does(namespace: NamespaceOfTest) -> None:
    """Every tree on every document: one body, two implementations."""
    collection, documents = await collection_of(namespace, VALUES)

    for tree in TREES:
        match = await select_documents(
            namespace.scope, DocumentSelection(collection.id, where=tree)
        )
        found = {one.id for one in await namespace.scope.all(Document, match)}
        moments = tree.condition is not None and tree.condition.path == "at"
        told = tree
        if moments and tree.condition is not None:
            told = Filter(condition=tree.condition.model_copy(update={"moments": True}))
        fits = compile_filter(told)
        assert found == {one.id for one in documents if fits(one.fields)}, tree


@pytest.mark.parametrize(
    "tree",
    [
        Filter(),
        where("unknown", Op.EQ, 1),
        where("any.$where", Op.EQ, 1),
        where("any..deep", Op.EQ, 1),
        where("any", Op.EQ, None),
        where("any", Op.IN, []),
        where("any", Op.LT, {"$gt": ""}),
        where("at", Op.LT, 5),
        Filter(all_of=[]),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(
    namespace: NamespaceOfTest, tree: Filter
) -> None:
    collection, _ = await collection_of(namespace, [])

    with pytest.raises((InvalidInput, InvalidMapping)) as refused:
        await select_documents(namespace.scope, DocumentSelection(collection.id, where=tree))

    assert refused.value.path


async def test_an_operator_in_a_value_is_a_value(namespace: NamespaceOfTest) -> None:
    collection, _ = await collection_of(namespace, [{"any": 1}, {"any": {"$gt": 0}}])
    tree = where("any", Op.EQ, {"$gt": 0})

    match = await select_documents(namespace.scope, DocumentSelection(collection.id, where=tree))

    assert [one.fields for one in await namespace.scope.all(Document, match)] == [
        {"any": {"$gt": 0}}
    ]


async def test_foreign_collections_are_not_there(
    namespace: NamespaceOfTest, stores: Stores
) -> None:
    with pytest.raises(NotFound):
        await select_documents(namespace.scope, DocumentSelection("col_of_another"))


def sorted_as_told(documents: list[Document], *, descending: bool) -> list[str]:
    """Sort in Python: numbers, texts, booleans, then whatever has none of these, by id."""
    kinds = ["number", "string", "bool"]

    def key(document: Document) -> tuple[int, Any, str]:
        value = document.fields.get("any")
        return kinds.index(Position(value, "").kind), value, document.id

    values = [one for one in documents if Position(one.fields.get("any"), "").kind in kinds]
    rest = [one for one in documents if one not in values]
    first = sorted(values, key=key, reverse=descending)
    last = sorted(rest, key=lambda one: one.id, reverse=descending)
    return [one.id for one in [*first, *last]]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("size", [1, 4, 100])
async def test_pages_in_the_order_of_a_field_are_complete_in_both_directions(
    namespace: NamespaceOfTest, descending: bool, size: int
) -> None:
    collection, documents = await collection_of(namespace, [*VALUES, {"any": [1]}, {"any": ["b"]}])
    match = {"collection_id": collection.id}
    order = Order("fields.any", descending)
    expected = sorted_as_told(documents, descending=descending)
    by_id = {one.id: one for one in documents}

    def position(document_id: str) -> Position:
        value = by_id[document_id].fields.get("any")
        return Position(None if isinstance(value, dict | list) else value, document_id)

    for last in (False, True):
        seen: list[str] = []
        while True:
            edge = None if not seen else position(seen[0] if last else seen[-1])
            page = await read_ordered_page(
                namespace.scope, Document, match, order, limit=size, last=last,
                after=None if last else edge, before=edge if last else None,
            )  # fmt: skip
            ids = [one.id for one in page.items]
            seen = [*ids, *seen] if last else [*seen, *ids]
            if not (page.has_previous if last else page.has_next):
                break
            assert len(ids) == size
        assert seen == expected


async def test_a_text_has_no_order(namespace: NamespaceOfTest) -> None:
    collection, _ = await collection_of(namespace, [])

    with pytest.raises(InvalidInput, match="TEXT"):
        await document_order(namespace.scope, collection.id, "text", descending=False)
    with pytest.raises(InvalidMapping):
        await document_order(namespace.scope, collection.id, "unknown", descending=False)


async def test_facets_count_documents_by_value(namespace: NamespaceOfTest) -> None:
    rows: list[dict[str, Any]] = [
        {"any": "a"},
        {"any": "a"},
        {"any": ["a", "a", "b"]},
        {"any": 1},
        {"any": None},
        {},
    ]
    collection, _ = await collection_of(namespace, rows)
    everything = DocumentSelection(collection.id)

    found = await count_facet(namespace.scope, everything, "any", limit=10)
    few = await count_facet(
        namespace.scope,
        DocumentSelection(collection.id, where=where("any", Op.EQ, 1)),
        "any",
        limit=10,
    )

    assert [(one.value, one.count) for one in found] == [("a", 3), (1, 1), ("b", 1)]
    assert [(one.value, one.count) for one in few] == [(1, 1)]
    assert len(await count_facet(namespace.scope, everything, "any", limit=1)) == 1
    with pytest.raises(InvalidMapping):
        await count_facet(namespace.scope, everything, "unknown", limit=1)


async def test_reads_go_by_an_index(namespace: NamespaceOfTest, stores: Stores) -> None:
    """No query of documents may look at another collection's."""
    collection, _ = await collection_of(namespace, [{"any": n} for n in range(20)])
    await collection_of(namespace, [{"any": n} for n in range(200)])
    mine = {"namespace_id": namespace.id}
    selected = await select_documents(
        namespace.scope, DocumentSelection(collection.id, where=where("any", Op.GT, 3))
    )
    plain = {"collection_id": collection.id}
    reader = make_collection([collection])
    block = make_block(make_batch(namespace.id), collection_id=reader.id)
    await store(reader, *(make_document(block) for _ in range(20)))
    below = await derived_from(namespace.scope, collection.id, "a document")
    queries: list[tuple[str, dict[str, Any], dict[str, int], int]] = [
        ("collection", {**selected, **mine}, {"_id": 1}, 20),
        ("collection", {**selected, **mine}, {"fields.any": 1, "_id": 1}, 20),
        ("collection", {**plain, **mine}, {"_id": 1}, 5),
        ("object", {"object_id": "an object", **mine}, {"_id": 1}, 0),
        ("source", {**below, **mine}, {"_id": 1}, 0),
    ]

    for index, match, sort, most in queries:
        found = {"find": "documents", "filter": match, "sort": sort, "limit": 5}
        plan = await stores.database.handle.command("explain", found, verbosity="executionStats")
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
        assert f"'indexName': '{index}'" in str(plan["queryPlanner"]["winningPlan"])
        assert plan["executionStats"]["totalDocsExamined"] <= most
