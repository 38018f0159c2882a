"""Searching documents: by text, by vector, and every query that cannot be answered."""

import json
import math
from typing import Any

import numpy as np
import pytest

from engine.queries import QueryEncoder
from models.batch import Batch
from models.collection import Collection
from models.document import Document
from models.fields import ExtractorChoice, VectorField
from models.ids import new_id
from models.points import DenseRows
from models.stores import Stores
from models.vector_payload import point_payload
from tests.factories import (
    make_batch,
    make_block,
    make_bucket,
    make_collection,
    make_document,
    store,
)
from tests.fixtures.api import RunningApi
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.calls import call, codes

SEARCH = """query($id: ID!, $query: SearchQueryInput!, $first: Int! = 10) {
  searchDocuments(collectionId: $id, query: $query, first: $first) {
    tookMs hits { score document { id fields object { id } } }
    userErrors { code message path hint }
  }
}"""
DOCUMENTS = """query($id: ID!) { documents(collectionId: $id) {
  totalCount edges { node { id internalMetadata { processingHistory { outcome } } } } } }"""
DELETE = """mutation($id: ID!) {
  deleteBatch(input: {batchId: $id}) { userErrors { code } }
}"""
TEXTS = ["Cats purr and sleep.", "Ships cross the sea.", "Bread is baked in ovens."]
WIDTH = 384


async def make_searchable(
    namespace: NamespaceOfTest, stores: Stores, vectors: np.ndarray[Any, np.dtype[np.float32]]
) -> tuple[Collection, Batch, list[Document]]:
    """Store a collection with one document and one point a vector, as the engine would."""
    collection = make_collection(
        make_bucket(namespace.id),
        extractor=ExtractorChoice(name="text", version="v1", parameters={}, parameters_hash="h"),
        vectors=[VectorField(name="embedding", dimension=WIDTH)],
    )
    batch = make_batch(namespace.id)
    block = make_block(batch, collection_id=collection.id)
    documents = [make_document(block, fields={"number": n}) for n in range(len(vectors))]
    await store(collection, batch, *documents)
    await stores.vectors.ensure(collection)
    await stores.vectors.upsert(
        collection.id,
        [document.id for document in documents],
        [point_payload(collection, document.to_mongo()) for document in documents],
        {"embedding": DenseRows(vectors)},
        block_id=block.id,
        epoch=1,
    )
    return collection, batch, documents


def axes(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.eye(WIDTH, dtype=np.float32)[:count]


def towards(axis: int, *, scale: float = 1.0) -> list[float]:
    return [scale if place == axis else 0.0 for place in range(WIDTH)]


def numbers(answer: dict[str, Any]) -> list[int]:
    assert answer["userErrors"] == []
    return [hit["document"]["fields"]["number"] for hit in answer["hits"]]


async def search(caller: GraphQL, collection: Collection, **query: Any) -> dict[str, Any]:
    return await call(caller, SEARCH, id=collection.id, query=query)


async def test_a_vector_finds_what_is_nearest(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest
) -> None:
    collection, _, _ = await make_searchable(namespace, stores, axes(5))
    slanted = towards(3)
    slanted[1] = 0.5

    found = await search(caller, collection, vector=slanted)
    one = await call(caller, SEARCH, id=collection.id, query={"vector": slanted}, first=1)

    assert numbers(found)[:2] == [3, 1]
    scores = [hit["score"] for hit in found["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert found["tookMs"] > 0
    assert numbers(one) == [3]


GROUPED = """query($id: ID!, $query: SearchQueryInput!, $vectors: [SearchVectorInput!]) {
  searchDocuments(collectionIds: [$id], query: $query, vectors: $vectors, hitsPerObject: 1,
    filter: {field: {path: "number", operator: GT, value: 0}}, minScore: 0.1, offset: 1) {
    hits { document { fields } } groups { objectId score hits { score document { id } } }
    userErrors { code message path }
  }
}"""


async def test_groups_filters_and_pages_reach_the_search(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest
) -> None:
    collection, _, documents = await make_searchable(namespace, stores, axes(4))
    slanted = [1.0, 0.9, 0.8, 0.0, *[0.0] * (WIDTH - 4)]
    ask = {"id": collection.id, "query": {"vector": slanted}}

    found = await call(caller, GROUPED, **ask, vectors=[{"name": "embedding", "weight": 2.0}])
    wrong = await call(caller, GROUPED, **ask, vectors=[{"feature": "strata://text@v1/no"}])

    (group,) = found["groups"]
    assert group["objectId"] == documents[2].object_id
    assert [hit["document"]["id"] for hit in group["hits"]] == [documents[2].id]
    assert [hit["document"]["fields"] for hit in found["hits"]] == [{"number": 2}]
    assert (wrong["groups"], codes(wrong)) == (None, [("INVALID_INPUT", ["vectors", "0"])])


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300, -1.0])
async def test_the_length_of_a_vector_does_not_matter(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest, scale: float
) -> None:
    """Neither beyond what 32 bits hold nor below."""
    collection, _, _ = await make_searchable(namespace, stores, axes(3))

    found = await search(caller, collection, vector=towards(2, scale=scale))

    first = found["hits"][0 if scale > 0 else -1]
    assert first["document"]["fields"] == {"number": 2}
    assert math.isclose(first["score"], math.copysign(1.0, scale), abs_tol=1e-6)


async def test_a_text_is_embedded_as_the_documents_are(
    caller: GraphQL, api: RunningApi, stores: Stores, namespace: NamespaceOfTest
) -> None:
    """The real net: a text finds the one that means the same."""
    choice = ExtractorChoice(name="text", version="v1")
    encoder = QueryEncoder(stores.settings.cache)
    encoded = [await encoder.encode(choice, text, "embedding") for text in TEXTS]
    vectors = np.stack([one for one in encoded if isinstance(one, np.ndarray)])
    collection, _, _ = await make_searchable(namespace, stores, vectors)

    kitten = await search(caller, collection, text="a kitten")
    sailor = await search(caller, collection, text="sailors on the ocean\x00")

    assert numbers(kitten)[0] == 0
    assert numbers(sailor)[0] == 1


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"text": ""}, ["query", "text"]),
        ({"text": " \n\t"}, ["query", "text"]),
        ({"text": "x" * 40_000}, ["query", "text"]),
        ({"text": "\ud800"}, ["query", "text"]),
        ({"vector": []}, ["query", "vector"]),
        ({"vector": [1.0] * (WIDTH - 1)}, ["query", "vector"]),
        ({"vector": [1.0] * (WIDTH + 1)}, ["query", "vector"]),
        ({"vector": [0.0] * WIDTH}, ["query", "vector"]),
    ],
)
async def test_a_query_that_cannot_be_answered_is_named(
    api: RunningApi,
    stores: Stores,
    namespace: NamespaceOfTest,
    query: dict[str, Any],
    path: list[str],
) -> None:
    collection, _, _ = await make_searchable(namespace, stores, axes(1))
    body = {"query": SEARCH, "variables": {"id": collection.id, "query": query}}

    response = await api.post(body, namespace.api_key)

    answer = response.json()["data"]["searchDocuments"]
    assert (answer["hits"], codes(answer)) == ([], [("INVALID_INPUT", path)])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", '"1"', "null"])
async def test_what_is_no_number_is_in_no_vector(
    api: RunningApi, namespace: NamespaceOfTest, number: str
) -> None:
    variables = {"id": "col_any", "query": {"vector": ["HERE"]}}
    body = json.dumps({"query": SEARCH, "variables": variables}).replace('"HERE"', number)

    response = await api.post(body.encode(), namespace.api_key)

    assert response.json().get("data") is None
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] in ("BAD_REQUEST", "BAD_USER_INPUT")


async def test_so_many_hits_and_no_more(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest
) -> None:
    collection, _, _ = await make_searchable(namespace, stores, axes(1))
    for first in (0, -1, 101):
        answer = await call(
            caller, SEARCH, id=collection.id, query={"vector": towards(0)}, first=first
        )
        assert codes(answer) == [("INVALID_INPUT", ["first"])]


async def test_a_collection_without_vectors_cannot_be_searched(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    collection = make_collection(make_bucket(namespace.id))
    await store(collection)

    answer = await search(caller, collection, text="a")

    assert codes(answer) == [("INVALID_INPUT", ["collectionId"])]


async def test_a_collection_that_never_ran_has_no_hits(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    vectors = [VectorField(name="embedding", dimension=WIDTH)]
    collection = make_collection(make_bucket(namespace.id), vectors=vectors)
    await store(collection)

    answer = await search(caller, collection, vector=towards(0))

    assert (answer["hits"], answer["userErrors"]) == ([], [])


async def test_points_without_a_document_of_the_collection_are_invisible(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest
) -> None:
    """Not committed, deleted, or of another namespace: a point alone shows nothing."""
    collection, _, documents = await make_searchable(namespace, stores, axes(4))
    rows = Document.get_pymongo_collection()
    await rows.delete_one({"_id": documents[0].id})
    await rows.update_one({"_id": documents[1].id}, {"$set": {"namespace_id": new_id("ns")}})
    await rows.update_one({"_id": documents[2].id}, {"$set": {"collection_id": new_id("col")}})

    assert numbers(await search(caller, collection, vector=[1.0] * WIDTH)) == [3]


async def test_documents_outlive_the_batch_that_made_them(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest
) -> None:
    collection, batch, documents = await make_searchable(namespace, stores, axes(3))

    deleted = await call(caller, DELETE, id=batch.id)
    listed = await call(caller, DOCUMENTS, id=collection.id)

    assert deleted["userErrors"] == []
    assert listed["totalCount"] == 3
    assert {edge["node"]["id"] for edge in listed["edges"]} == {one.id for one in documents}
    assert numbers(await search(caller, collection, vector=towards(1)))[0] == 1
    found = await search(caller, collection, vector=towards(1))
    assert found["hits"][0]["document"]["object"] is None  # it never was stored


async def test_a_store_that_fails_is_a_user_error_without_its_address(
    caller: GraphQL, stores: Stores, namespace: NamespaceOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, _, _ = await make_searchable(namespace, stores, axes(1))

    async def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no route to 10.0.0.7:6333")

    monkeypatch.setattr(stores.vectors._http, "post", refuse)

    answer = await search(caller, collection, vector=towards(0))

    assert codes(answer) == [("UNAVAILABLE", [])]
    assert "10.0.0.7" not in json.dumps(answer)
