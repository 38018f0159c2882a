"""Searching over the real stores: kinds of vectors, fusion, filters, pages, what may be seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from engine.availability import require_available
from engine.filters import compile_filter
from engine.inline_pool import InlinePools
from engine.queries import QueryEncoder
from models.bucket import Bucket
from models.collection import Collection, InputMapping
from models.document import Document
from models.errors import InvalidInput, NotFound, StrataError
from models.fields import ExtractorChoice, FieldSpec, FieldType, VectorField, VectorKind
from models.filters import Condition, Filter, FilterOperator
from models.ids import new_id
from models.object import Blob
from models.points import DenseRows, MultiRows, SparseRows
from models.stores import Stores
from models.vector_payload import point_filter, point_payload
from models.vector_search import Fusion, SearchOptions, VectorQuery
from tests.engine.batches import run, submitted
from tests.extractors import choice
from tests.factories import (
    make_batch,
    make_block,
    make_bucket,
    make_collection,
    make_document,
    make_object,
)
from tests.factories import store as insert
from tests.fixtures.stores import NamespaceOfTest
from workers.namespaces import open_namespace
from workers.searching import FoundObject, Question, SearchRequest, WantedVector
from workers.searching import search_documents as search_them
from workers.searching.fusing import fuse
from workers.sources import SourceSchema, check_filter

DENSE = VectorField(name="dense", dimension=2)
TERMS = VectorField(name="terms", dimension=0, distance="dot", kind=VectorKind.SPARSE, idf=True)
TOKENS = VectorField(name="tokens", dimension=2, kind=VectorKind.MULTI)
FIELDS = [
    FieldSpec(name="number", type=FieldType.INTEGER),
    FieldSpec(name="title", type=FieldType.STRING),
    FieldSpec(name="made", type=FieldType.DATETIME),
    FieldSpec(name="a.b", type=FieldType.NUMBER),
    FieldSpec(name="more", type=FieldType.OBJECT),
    FieldSpec(name="text", type=FieldType.STRING, filterable=False),
]


@dataclass
class Library:
    """What the tests of one namespace search."""

    namespace: NamespaceOfTest
    stores: Stores

    async def make(
        self, source: Bucket | list[Collection], vectors: Sequence[VectorField], **values: Any
    ) -> Collection:
        """Store a collection, ready for points."""
        made = make_collection(source, vectors=list(vectors), output_fields=FIELDS, **values)
        await insert(made)
        await self.stores.vectors.ensure(made)
        return made

    async def fill(
        self,
        collection: Collection,
        rows: Mapping[str, Any],
        *,
        fields: Sequence[Mapping[str, Any]] = (),
        objects: Sequence[str] = (),
    ) -> list[Document]:
        """Store a document and a point for each row of the vectors."""
        count = len(next(iter(rows.values())))
        block = make_block(make_batch(self.namespace.id), collection_id=collection.id)
        documents = [
            make_document(
                block,
                fields={"number": place, **(fields[place] if fields else {})},
                **({"object_id": objects[place]} if objects else {}),
            )
            for place in range(count)
        ]
        await insert(*documents)
        await self.stores.vectors.upsert(
            collection.id,
            [one.id for one in documents],
            [point_payload(collection, one.to_mongo()) for one in documents],
            rows,
            block_id=block.id,
            epoch=block.epoch,
        )
        return documents

    async def search(self, question: Question, **values: Any) -> Any:
        """Search as the API does."""
        request = SearchRequest(question, **values)
        encoder = QueryEncoder(self.stores.settings.cache)
        return await search_them(self.namespace.scope, self.stores, encoder, request)

    async def numbers(self, question: Question, **values: Any) -> list[int]:
        """Return which documents were found, nearest first."""
        return [found.document.fields["number"] for found in await self.search(question, **values)]


@pytest.fixture
def library(namespace: NamespaceOfTest, stores: Stores) -> Library:
    """An empty library in a namespace of its own."""
    return Library(namespace, stores)


@pytest.fixture
async def bucket(namespace: NamespaceOfTest) -> Bucket:
    """A bucket that collections read."""
    made = make_bucket(namespace.id)
    await insert(made)
    return made


def dense(*vectors: Sequence[float]) -> DenseRows:
    return DenseRows(np.array(vectors, np.float32))


def sparse(*documents: Mapping[int, float]) -> SparseRows:
    offsets = np.cumsum([0, *map(len, documents)])
    terms = [term for one in documents for term in one]
    weights = [weight for one in documents for weight in one.values()]
    return SparseRows(offsets, np.array(terms, np.uint32), np.array(weights, np.float32))


def multi(*documents: Sequence[Sequence[float]]) -> MultiRows:
    offsets = np.cumsum([0, *map(len, documents)])
    return MultiRows(offsets, np.array([row for one in documents for row in one], np.float32))


def slanted(count: int) -> DenseRows:
    """Return vectors that turn away from the first axis, one after the other."""
    angles = np.linspace(0, 1.2, count)
    return dense(*np.stack([np.cos(angles), np.sin(angles)], axis=1).tolist())


AHEAD = Question(vector=[1.0, 0.0])


async def test_a_rare_term_counts_more_than_a_common_one(library: Library, bucket: Bucket) -> None:
    collection = await library.make(bucket, [TERMS])
    await library.fill(collection, {"terms": sparse({1: 1}, {1: 1}, {1: 1, 9: 0.5}, {9: 1}, {})})

    found = await library.numbers(
        Question(sparse=([1, 9], [1.0, 1.0])), collection_id=collection.id
    )

    assert found[:2] == [2, 3] or found[:2] == [3, 2]
    assert set(found) == {0, 1, 2, 3}


async def test_each_token_counts_by_its_best_match(library: Library, bucket: Bucket) -> None:
    collection = await library.make(bucket, [TOKENS])
    rows = multi([[1, 0], [0, 1]], [[1, 0], [1, 0], [0.9, 0.1]], [[0, 1]])
    await library.fill(collection, {"tokens": rows})

    found = await library.search(Question(multi=[[2, 0], [0, 2]]), collection_id=collection.id)

    assert [one.document.fields["number"] for one in found] == [0, 1, 2]
    assert found[0].score == pytest.approx(2, abs=1e-5)


@pytest.mark.parametrize("fusion", [*Fusion])
async def test_the_rankings_of_one_collection_are_fused_as_those_of_several(
    library: Library, bucket: Bucket, fusion: Fusion
) -> None:
    collection = await library.make(bucket, [DENSE, TERMS])
    weights = [{1: 0.1}, {1: 0.2}, {1: 3.0}, {2: 1.0}]
    await library.fill(collection, {"dense": slanted(4), "terms": sparse(*weights)})
    where = {"collection_id": collection.id}
    term = Question(sparse=([1], [1.0]))
    weight = 2.0 if fusion is Fusion.RRF else 1.0
    vectors = [WantedVector(name="dense"), WantedVector(name="terms", weight=weight, question=term)]

    fused = await library.search(AHEAD, vectors=vectors, fusion=fusion, **where)

    alone = [
        await library.search(question, vectors=[WantedVector(name=name)], **where)
        for question, name in ((AHEAD, "dense"), (term, "terms"))
    ]
    rankings = [[(one.document.id, one.score) for one in ranking] for ranking in alone]
    wanted = fuse(rankings, [1.0, weight], fusion)
    assert {one.document.id: one.score for one in fused} == pytest.approx(wanted, abs=1e-5)
    assert [one.document.id for one in fused] == sorted(wanted, key=lambda one: -wanted[one])


async def test_collections_of_a_bucket_agree_on_its_objects(
    library: Library, bucket: Bucket
) -> None:
    """An object that is good in both rankings passes those that are best in one of them."""
    pictures = await library.make(bucket, [DENSE])
    words = await library.make([pictures], [TERMS])
    await library.make(bucket, [])
    objects = [new_id("obj") for _ in range(4)]
    await library.fill(pictures, {"dense": slanted(3)}, objects=objects[:3])
    terms = sparse({1: 9.0}, {1: 5.0}, {1: 4.0}, {1: 1.0})
    order = [objects[3], objects[1], objects[1], objects[0]]
    await library.fill(words, {"terms": terms}, objects=order)
    vectors = [
        WantedVector(name="dense"),
        WantedVector(feature="strata://passthrough@v1/terms", question=Question(sparse=([1], [1]))),
    ]

    found = await library.search(AHEAD, bucket_id=bucket.id, vectors=vectors, per_object=2)

    assert all(isinstance(one, FoundObject) for one in found)
    ranked = [one.object_id for one in found]
    assert ranked[:2] == [objects[0], objects[1]] or ranked[:2] == [objects[1], objects[0]]
    (second,) = [one for one in found if one.object_id == objects[1]]
    assert [one.document.collection_id for one in second.found] == [pictures.id, words.id]
    assert second.score == pytest.approx(1 / 3 + 1 / 3)
    assert found[0].score >= found[1].score > found[2].score


async def test_an_object_of_many_documents_is_one_group(library: Library, bucket: Bucket) -> None:
    collection = await library.make(bucket, [DENSE])
    objects = ["obj_loud"] * 40 + ["obj_quiet"] * 2
    await library.fill(collection, {"dense": slanted(42)}, objects=objects)
    where = {"collection_id": collection.id, "per_object": 3}

    found = await library.search(AHEAD, **where)
    second = await library.search(AHEAD, offset=1, limit=1, **where)

    assert [(one.object_id, len(one.found)) for one in found] == [("obj_loud", 3), ("obj_quiet", 2)]
    assert [one.document.fields["number"] for one in found[0].found] == [0, 1, 2]
    assert [one.object_id for one in second] == ["obj_quiet"]


async def test_more_like_a_document_leaves_it_out(library: Library, bucket: Bucket) -> None:
    collection = await library.make(bucket, [DENSE])
    documents = await library.fill(collection, {"dense": slanted(4)})
    beside = await library.make(bucket, [DENSE])
    others = await library.fill(beside, {"dense": slanted(4)})
    question = Question(document_id=documents[3].id)

    own = await library.search(question, collection_id=collection.id)
    foreign = await library.search(question, collection_id=beside.id)

    assert [one.document.id for one in own] == [documents[place].id for place in (2, 1, 0)]
    assert [one.document.id for one in foreign] == [others[place].id for place in (3, 2, 1, 0)]


async def test_a_document_is_compared_by_the_same_net_only(
    library: Library, bucket: Bucket
) -> None:
    collection = await library.make(bucket, [DENSE])
    (document,) = await library.fill(collection, {"dense": slanted(1)})
    other = ExtractorChoice(name="text", version="v1", parameters_hash="other")
    beside = await library.make(bucket, [DENSE], extractor=other)

    with pytest.raises(InvalidInput, match="makes no 'dense'") as refused:
        await library.search(Question(document_id=document.id), collection_id=beside.id)

    assert refused.value.path == ("query", "documentId")


ROWS: list[dict[str, Any]] = [
    {"number": 1, "title": "one", "made": "2024-01-01T00:00:00+00:00", "a.b": 1.5},
    {"number": 2, "title": "x" * 256, "made": "2024-01-01T01:00:00+02:00", "a.b": 2},
    {"number": 3, "title": "x" * 400, "made": "2024-06-01", "more": {"deep": {"er": "yes"}}},
    {"number": 4, "title": "", "made": "no time", "more": ["one", "two"]},
    {"number": 5, "title": None, "more": []},
    {"number": 6, "title": "true", "more": {"flag": True, "odd \" name": 1}},
    {"number": 7, "title": "1", "more": {"flag": 1, "deep": {"er": None}}},
    {"number": 8, "title": "one", "more": 1, "a.b": -0.0},
    {"number": 9, "more": {"deep": ["er"], "flag": False, "a.b": 7}},
]  # fmt: skip
Op = FilterOperator


def where(path: str, operator: FilterOperator, value: Any = None) -> Filter:
    return Filter(condition=Condition(path=path, operator=operator, value=value))


FILTERS = [
    where("number", Op.EQ, 3), where("number", Op.GT, 6), where("number", Op.LTE, 2.5),
    where("number", Op.IN, [1, 5, 100]), where("number", Op.NE, 3),
    where("title", Op.EQ, "one"), where("title", Op.NE, "one"), where("title", Op.EQ, "x" * 256),
    where("title", Op.NE, "x" * 256), where("title", Op.EQ, ""), where("title", Op.EXISTS, True),
    where("title", Op.EXISTS, False), where("title", Op.IN, ["1", "true"]),
    where("made", Op.LT, "2024-01-01"), where("made", Op.EQ, "2023-12-31T23:00:00Z"),
    where("made", Op.GTE, "2024-01-01T00:00:00"), where("made", Op.NE, "2024-06-01T00:00:00+00:00"),
    where("a.b", Op.GT, 1), where("a.b", Op.EQ, 2), where("a.b", Op.EQ, 0), where("a.b", Op.EXISTS),
    where("more.deep.er", Op.EQ, "yes"), where("more.deep.er", Op.NE, "yes"),
    where("more.flag", Op.EQ, True), where("more.flag", Op.EQ, 1), where("more.flag", Op.NE, True),
    where("more", Op.EQ, "one"), where("more", Op.NE, "one"), where("more", Op.EXISTS, True),
    where("more", Op.EXISTS, False), where("more", Op.EQ, 1), where("more.deep", Op.EXISTS, True),
    where("more.deep", Op.NE, "er"),
    Filter(negated=where("more.flag", Op.EXISTS, True)),
    Filter(any_of=[where("number", Op.LT, 3), where("title", Op.EQ, "one")]),
    Filter(all_of=[where("number", Op.LT, 3), Filter(negated=where("title", Op.EQ, "one"))]),
    Filter(negated=Filter(any_of=[where("number", Op.LT, 3), where("more", Op.EXISTS, True)])),
]  # fmt: skip


async def test_filters_mean_in_searches_what_they_mean_elsewhere(
    library: Library, bucket: Bucket
) -> None:
    """Asked of Qdrant alone: what MongoDB's documents are checked for afterwards would hide it."""
    collection = await library.make(bucket, [DENSE])
    documents = await library.fill(collection, {"dense": slanted(len(ROWS))}, fields=ROWS)
    known = {one.name: None if one.name == "more" else one.type for one in FIELDS}
    differing = []
    for tree in FILTERS:
        checked = check_filter(tree, SourceSchema(known), where=("filter",))
        wanted = [one.id for one in documents if compile_filter(checked)(one.fields)]

        ranked = await _asked(library, collection, checked)

        if sorted(ranked) != sorted(wanted):
            numbers = {one.id: one.fields["number"] for one in documents}
            differing.append((tree, *([numbers[one] for one in ids] for ids in (ranked, wanted))))
    assert differing == []


async def _asked(library: Library, collection: Collection, tree: Filter) -> list[str]:
    accept = point_filter(tree, collection.output_fields, ("filter",))
    query = VectorQuery("dense", np.array([1, 0], np.float32))
    hits = await library.stores.vectors.rank(
        collection.id, [query], SearchOptions(100, accept=accept)
    )
    return [hit.document_id for hit in hits]


async def test_a_filter_holds_for_the_document_as_committed(
    library: Library, bucket: Bucket
) -> None:
    """A point may be of a later attempt, which has not committed and perhaps never will."""
    collection = await library.make(bucket, [DENSE])
    titles = [{"title": "old"}, {"title": "old"}]
    documents = await library.fill(collection, {"dense": slanted(2)}, fields=titles)
    later = documents[0].to_mongo() | {"epoch": 9, "fields": {"title": "new"}}
    await library.stores.vectors.upsert(
        collection.id,
        [documents[0].id],
        [point_payload(collection, later)],
        {"dense": slanted(1)},
        block_id=documents[0].block_id,
        epoch=9,
    )

    new = await library.search(
        AHEAD, collection_id=collection.id, accept=where("title", Op.EQ, "new")
    )

    assert new == []


async def test_filters_reach_every_vector_that_is_fused(library: Library, bucket: Bucket) -> None:
    collection = await library.make(bucket, [DENSE, TERMS])
    documents = await library.fill(
        collection, {"dense": slanted(4), "terms": sparse({1: 4}, {1: 3}, {1: 2}, {1: 1})}
    )
    vectors = [
        WantedVector(name="dense"),
        WantedVector(name="terms", question=Question(sparse=([1], [1]))),
    ]
    ask = {"collection_id": collection.id, "vectors": vectors}

    few = await library.numbers(AHEAD, accept=where("number", Op.GTE, 2), **ask)
    own = await library.numbers(
        AHEAD, accept=where("object_id", Op.EQ, documents[3].object_id), **ask
    )

    assert (few, own) == ([2, 3], [3])


async def test_pages_join_and_hits_below_the_threshold_are_left_out(
    library: Library, bucket: Bucket
) -> None:
    collection = await library.make(bucket, [DENSE])
    await library.fill(collection, {"dense": slanted(25)})
    where = {"collection_id": collection.id}

    pages = [await library.numbers(AHEAD, offset=n, limit=10, **where) for n in (0, 10, 20)]
    near = await library.search(AHEAD, min_score=0.9, limit=100, **where)

    assert [number for page in pages for number in page] == [*range(25)]
    assert 0 < len(near) < 25
    assert min(one.score for one in near) >= 0.9


async def test_invisible_points_do_not_thin_out_a_page(library: Library, bucket: Bucket) -> None:
    collection = await library.make(bucket, [DENSE])
    documents = await library.fill(collection, {"dense": slanted(60)})
    gone = [one.id for one in documents[:50]]
    await Document.get_pymongo_collection().delete_many({"_id": {"$in": gone}})

    found = await library.numbers(AHEAD, collection_id=collection.id, limit=5)

    assert found == [50, 51, 52, 53, 54]


REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "nowhere": ({"collection_id": None}, ()),
    "no such collection": ({"collection_id": "col_no"}, ("collectionId",)),
    "no such bucket": ({"collection_id": None, "bucket_id": "bkt_no"}, ("bucketId",)),
    "an empty list": ({"collection_id": None, "collection_ids": []}, ("collectionIds",)),
    "an offset too far": ({"offset": 1_001}, ("offset",)),
    "no hits of an object": ({"per_object": 0}, ("hitsPerObject",)),
    "an unknown vector": ({"vectors": [WantedVector(name="no")]}, ("vectors", "0")),
    "a vector of no name": ({"vectors": [WantedVector()]}, ("vectors", "0")),
    "a feature of another version": (
        {"vectors": [WantedVector(feature="strata://passthrough@v2/dense")]}, ("vectors", "0"),
    ),
    "a weight that is none": (
        {"vectors": [WantedVector(name="dense", weight=0)]}, ("vectors", "0", "weight"),
    ),
    "weights for scores": (
        {"vectors": [WantedVector(name="dense", weight=2)], "fusion": Fusion.DBSF},
        ("vectors", "0", "weight"),
    ),
    "the same twice": ({"vectors": [WantedVector(name="dense")] * 2}, ("vectors",)),
    "a dense question of terms": (
        {"vectors": [WantedVector(name="terms")]}, ("query", "vector"),
    ),
    "numbers beyond 32 bits": (
        {"vectors": [WantedVector(name="terms", question=Question(sparse=([1], [1e39])))]},
        ("vectors", "0", "query", "sparseVector", "values"),
    ),
    "a term twice": (
        {"vectors": [WantedVector(name="terms", question=Question(sparse=([1, 1], [1, 1])))]},
        ("vectors", "0", "query", "sparseVector", "indices"),
    ),
    "a token of another length": (
        {"vectors": [WantedVector(name="tokens", question=Question(multi=[[1, 0], [1]]))]},
        ("vectors", "0", "query", "multiVector", "1"),
    ),
    "an unknown field": ({"accept": where("no", Op.EQ, 1)}, ("filter", "field", "path")),
    "a field that points do not hold": (
        {"accept": where("text", Op.EQ, "a")}, ("filter", "field", "path"),
    ),
    "an order of texts": (
        {"accept": Filter(negated=where("title", Op.LT, "a"))}, ("filter", "not", "field", "value"),
    ),
    "a long text": ({"accept": where("title", Op.EQ, "x" * 257)}, ("filter", "field", "value")),
    "a list": ({"accept": where("more", Op.EQ, [1])}, ("filter", "field", "value")),
    "a large integer": ({"accept": where("number", Op.EQ, 2**60)}, ("filter", "field", "value")),
    "no such document": (
        {"question": Question(document_id="doc_no")}, ("query", "documentId"),
    ),
    "a text where nothing embeds": ({"question": Question(text="a")}, ("query", "text")),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_what_makes_no_sense_is_named(library: Library, bucket: Bucket, name: str) -> None:
    values, path = REFUSED[name]
    collection = make_collection(bucket, vectors=[DENSE, TERMS, TOKENS], output_fields=FIELDS)
    await insert(collection)
    request = replace(SearchRequest(AHEAD, collection_id=collection.id), **values)
    encoder = QueryEncoder(library.stores.settings.cache)

    with pytest.raises(StrataError) as refused:
        await search_them(library.namespace.scope, library.stores, encoder, request)

    assert isinstance(refused.value, InvalidInput | NotFound)
    assert refused.value.path == path


async def test_a_stranger_finds_nothing_of_it(
    library: Library, bucket: Bucket, stores: Stores
) -> None:
    opened, key = await open_namespace(stores, new_id("ns"))
    other_namespace = NamespaceOfTest(opened.id, key)
    collection = await library.make(bucket, [DENSE])
    documents = await library.fill(collection, {"dense": slanted(2)})
    stranger = Library(other_namespace, library.stores)

    for values in (
        {"collection_id": collection.id},
        {"collection_ids": [collection.id]},
        {"bucket_id": bucket.id},
    ):
        with pytest.raises(NotFound):
            await stranger.search(AHEAD, **values)
    own = await stranger.make(make_bucket(other_namespace.id), [DENSE])
    with pytest.raises(NotFound):
        await stranger.search(Question(document_id=documents[0].id), collection_id=own.id)


async def test_a_text_is_found_by_its_meaning_and_by_its_words(library: Library) -> None:
    """From the extractor to the answer: the number is in no embedding, the kitten in no word."""
    texts = ["A cat sleeps on the sofa.", "Order XK4711 has left.", "Bread is baked in ovens."]
    chosen = choice("text@v1", terms="english")
    bucket = make_bucket(library.namespace.id)
    collection = make_collection(
        bucket,
        extractor=chosen,
        input_mappings=[InputMapping(input="text", path="content")],
        output_fields=FIELDS,
        vectors=list(require_available(chosen, library.stores.settings.cache)),
    )
    objects = [
        make_object(bucket, metadata={"number": place}, blobs=[Blob(property="content", text=text)])
        for place, text in enumerate(texts)
    ]
    batch = await submitted(library.stores, bucket, objects, collection)
    await run(library.stores, batch, InlinePools(library.stores.settings.cache))
    vectors = [WantedVector(name="embedding"), WantedVector(name="terms")]
    where = {"collection_id": collection.id, "vectors": vectors}

    meant = await library.numbers(Question(text="kitten"), **where)
    named = await library.numbers(Question(text="xk4711"), **where)

    assert (meant[0], named[0]) == (0, 1)
