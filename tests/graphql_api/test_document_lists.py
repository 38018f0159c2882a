"""Documents over the API: filters, orders, facets and lineage, each with its cursors."""

from typing import Any

from models.collection import Source
from models.document import Document
from models.fields import FieldSpec, FieldType
from tests.factories import (
    make_batch,
    make_block,
    make_bucket,
    make_collection,
    make_document,
    make_object,
    store,
)
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.calls import call

LIST = """query(
  $id: ID!, $filter: DocumentFilter, $order: DocumentOrder, $first: Int, $after: String
) {
  documents(collectionId: $id, filter: $filter, orderBy: $order, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { id fields } } } }"""
FACETS = """query($id: ID!, $field: String!) {
  documentFacets(collectionId: $id, field: $field) { value count } }"""
LINEAGE = """query($id: ID!) { document(id: $id) {
  object { id } collection { id } upstream { id }
  derived(first: 10) { totalCount edges { node { id } } } } }"""
OF_OBJECT = """query($id: ID!, $after: String) {
  objectDocuments(objectId: $id, first: 2, after: $after) {
  totalCount pageInfo { endCursor hasNextPage } edges { node { id } } } }"""


async def numbered(namespace: NamespaceOfTest, count: int) -> str:
    fields = [FieldSpec(name="number", type=FieldType.INTEGER)]
    collection = make_collection(make_bucket(namespace.id), output_fields=fields)
    block = make_block(make_batch(namespace.id), collection_id=collection.id)
    documents = [make_document(block, fields={"number": n % 5}) for n in range(count)]
    await store(collection, *documents)
    return collection.id


def numbers(page: dict[str, Any]) -> list[int]:
    return [edge["node"]["fields"]["number"] for edge in page["edges"]]


async def test_a_filtered_list_in_an_order_is_paged(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    collection_id = await numbered(namespace, 10)
    asked = {
        "filter": {"where": {"field": {"path": "number", "operator": "GTE", "value": 2}}},
        "order": {"field": "number", "direction": "DESC"},
    }

    first = await call(caller, LIST, id=collection_id, first=4, **asked)
    rest = await call(
        caller, LIST, id=collection_id, first=4, after=first["pageInfo"]["endCursor"], **asked
    )

    assert (numbers(first), numbers(rest)) == ([4, 4, 3, 3], [2, 2])
    assert (first["totalCount"], rest["pageInfo"]["hasNextPage"]) == (6, False)


async def test_a_cursor_of_another_order_or_filter_is_refused(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    collection_id = await numbered(namespace, 3)
    page = await call(caller, LIST, id=collection_id, first=1, order={"field": "number"})
    cursor = page["pageInfo"]["endCursor"]

    for other in (
        {"order": {"field": "number", "direction": "DESC"}},
        {"order": {"field": "number"}, "filter": {"batchId": "btc_x"}},
        {},
    ):
        body = await caller.answer(LIST, id=collection_id, after=cursor, **other)
        assert [one["extensions"]["reason"] for one in body["errors"]] == ["INVALID_CURSOR"]


async def test_what_makes_no_sense_is_the_callers_mistake(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    collection_id = await numbered(namespace, 1)
    for asked in (
        {"order": {"field": "unknown"}},
        {"filter": {"where": {"field": {"path": "unknown", "operator": "EXISTS"}}}},
        {"filter": {"where": {"field": {"path": "number", "operator": "LT", "value": "a"}}}},
    ):
        body = await caller.answer(LIST, id=collection_id, **asked)
        assert [one["extensions"]["code"] for one in body["errors"]] == ["BAD_USER_INPUT"]


async def test_facets_are_counted(caller: GraphQL, namespace: NamespaceOfTest) -> None:
    collection_id = await numbered(namespace, 7)

    answer = await caller.data(FACETS, id=collection_id, field="number")

    found = [(one["value"], one["count"]) for one in answer["documentFacets"]]
    assert found == [(0, 2), (1, 2), (2, 1), (3, 1), (4, 1)]


async def test_lineage_goes_up_and_down(caller: GraphQL, namespace: NamespaceOfTest) -> None:
    """An object, two documents of it, and a chain of two tiers below the first."""
    bucket = make_bucket(namespace.id)
    thing = make_object(bucket)
    tiers = [make_collection(bucket)]
    for _ in range(2):
        tiers.append(make_collection([tiers[-1]], source=Source(collection_ids=[tiers[-1].id])))
    batch = make_batch(namespace.id)
    documents: list[Document] = []
    for tier in tiers:
        block = make_block(batch, collection_id=tier.id)
        source_id = documents[-1].id if documents else thing.id
        documents.append(make_document(block, object_id=thing.id, source_id=source_id))
    twin = make_document(
        make_block(batch, collection_id=tiers[1].id),
        id="0-twin", object_id=thing.id, source_id=documents[0].id,
    )  # fmt: skip
    await store(bucket, thing, *tiers, *documents, twin)

    first = await call(caller, LINEAGE, id=documents[0].id)
    last = await call(caller, LINEAGE, id=documents[2].id)
    page = await call(caller, OF_OBJECT, id=thing.id)
    rest = await call(caller, OF_OBJECT, id=thing.id, after=page["pageInfo"]["endCursor"])

    assert (first["object"]["id"], first["collection"]["id"]) == (thing.id, tiers[0].id)
    assert first["upstream"] == []
    below = [edge["node"]["id"] for edge in first["derived"]["edges"]]
    assert below == sorted([documents[1].id, twin.id])
    assert [one["id"] for one in last["upstream"]] == [documents[0].id, documents[1].id]
    assert last["derived"]["totalCount"] == 0
    seen = [edge["node"]["id"] for part in (page, rest) for edge in part["edges"]]
    assert seen == sorted(one.id for one in [*documents, twin])
    assert page["totalCount"] == 4
