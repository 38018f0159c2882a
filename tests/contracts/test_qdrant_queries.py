"""Searching: every kind of query, its order held against numpy where there is one right order."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient, models

from tests.contracts.qdrant_points import (
    COUNT,
    PARTS,
    PLANE,
    RARE,
    TERMS,
    TEXT,
    Floats,
    make_points,
    point_id,
)

pytest_plugins = ["tests.contracts.qdrant_server"]

EXACT = models.SearchParams(exact=True)
POINTS = make_points()
BY_ID = {point.id: point for point in POINTS}
QUERY = POINTS[17].vector[TEXT]  # type: ignore[call-overload, index]
FILMS = models.Filter(
    must=[models.FieldCondition(key="kind", match=models.MatchValue(value="film"))]
)


def vectors(name: str) -> dict[Any, Any]:
    """The vectors of that name by the id of their point."""
    named: dict[Any, dict[str, Any]] = {point.id: point.vector for point in POINTS}  # type: ignore[misc]
    return {one: vector[name] for one, vector in named.items() if name in vector}


def unit(vector: Any) -> Floats:
    array: Floats = np.asarray(vector, dtype=float)
    length = float(np.linalg.norm(array))
    return array / length


def best(scores: dict[Any, float], limit: int) -> list[Any]:
    return sorted(scores, key=lambda one: -scores[one])[:limit]


def cosine(query: Any) -> dict[Any, float]:
    return {one: float(unit(query) @ unit(vector)) for one, vector in vectors(TEXT).items()}


def overlap(query: models.SparseVector, vector: models.SparseVector) -> float:
    weights = dict(zip(vector.indices, vector.values, strict=True))
    return sum(
        weight * weights.get(index, 0.0)
        for index, weight in zip(query.indices, query.values, strict=True)
    )


def ids(found: models.QueryResponse | Sequence[models.ScoredPoint]) -> list[Any]:
    return [hit.id for hit in (found.points if hasattr(found, "points") else found)]


async def ask(client: AsyncQdrantClient, collection: str, **parts: Any) -> list[models.ScoredPoint]:
    return (await client.query_points(collection, **parts)).points


async def test_dense_order_is_that_of_numpy(qdrant: AsyncQdrantClient, library: str) -> None:
    found = await ask(
        qdrant, library, query=QUERY, using=TEXT, limit=20, search_params=EXACT, with_vectors=[TEXT]
    )

    scores = cosine(QUERY)
    assert ids(found) == best(scores, 20)
    assert [hit.score for hit in found] == pytest.approx(
        [scores[hit.id] for hit in found], abs=1e-5
    )
    stored = found[0].vector[TEXT]  # type: ignore[call-overload, index]
    assert stored == pytest.approx(unit(QUERY).tolist(), abs=1e-5)


async def test_euclid_order_is_that_of_numpy(qdrant: AsyncQdrantClient, library: str) -> None:
    query = [0.1, -0.2, 0.3, 0.4]

    found = await ask(qdrant, library, query=query, using=PLANE, limit=15, search_params=EXACT)

    distances = {
        one: float(np.linalg.norm(np.subtract(vector, query)))
        for one, vector in vectors(PLANE).items()
    }
    assert ids(found) == sorted(distances, key=lambda one: distances[one])[:15]
    assert found[0].score == pytest.approx(distances[found[0].id], abs=1e-5)


async def test_multivector_order_is_max_sim(qdrant: AsyncQdrantClient, library: str) -> None:
    query = [[1.0, 0.5, 0.0, -0.5], [0.0, 1.0, -1.0, 0.2]]

    found = await ask(qdrant, library, query=query, using=PARTS, limit=10, search_params=EXACT)

    scores = {
        one: float((np.asarray(query) @ np.asarray(parts).T).max(axis=1).sum())
        for one, parts in vectors(PARTS).items()
    }
    assert ids(found) == best(scores, 10)


async def test_sparse_order_is_that_of_the_dot_product(
    qdrant: AsyncQdrantClient, library: str
) -> None:
    query = models.SparseVector(indices=[3, 14, 15], values=[1.0, 0.5, 2.0])

    found = await ask(qdrant, library, query=query, using=TERMS, limit=10)

    scores = {one: overlap(query, vector) for one, vector in vectors(TERMS).items()}
    assert ids(found) == best(scores, 10)


async def test_idf_favours_the_rare_term(qdrant: AsyncQdrantClient, library: str) -> None:
    query = models.SparseVector(indices=[0, 5], values=[1.0, 1.0])

    found = await ask(qdrant, library, query=query, using=RARE, limit=12)

    # Every point has term 0, one in forty has term 5.
    rare = {point_id(number) for number in range(COUNT) if 1 + number % 40 == 5}
    assert set(ids(found)[: len(rare)]) == rare
    assert found[0].score > 10 * found[-1].score


async def test_filtered_query_ranks_only_what_matches(
    qdrant: AsyncQdrantClient, library: str
) -> None:
    found = await ask(qdrant, library, query=QUERY, using=TEXT, limit=20, query_filter=FILMS)

    films = {point.id for point in POINTS if (point.payload or {})["kind"] == "film"}
    scores = {one: score for one, score in cosine(QUERY).items() if one in films}
    assert ids(found) == best(scores, 20)


def prefetches() -> list[models.Prefetch]:
    sparse = models.SparseVector(indices=[3, 14, 15], values=[1.0, 0.5, 2.0])
    return [
        models.Prefetch(query=QUERY, using=TEXT, limit=20),
        models.Prefetch(query=sparse, using=TERMS, limit=20),
    ]


async def ranked_apart(client: AsyncQdrantClient, library: str) -> list[list[models.ScoredPoint]]:
    return [
        await ask(client, library, query=one.query, using=one.using, limit=one.limit)
        for one in prefetches()
    ]


@pytest.mark.parametrize(
    ("query", "k"),
    [
        (models.FusionQuery(fusion=models.Fusion.RRF), 2),
        (models.RrfQuery(rrf=models.Rrf(k=60)), 60),
    ],
)
async def test_reciprocal_rank_fusion(
    qdrant: AsyncQdrantClient, library: str, query: Any, k: int
) -> None:
    expected: dict[Any, float] = {}
    for ranking in await ranked_apart(qdrant, library):
        for rank, hit in enumerate(ranking):
            expected[hit.id] = expected.get(hit.id, 0.0) + 1 / (k + rank)

    found = await ask(qdrant, library, prefetch=prefetches(), query=query, limit=40)

    assert {hit.id: hit.score for hit in found} == pytest.approx(expected, abs=1e-6)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


async def test_distribution_based_fusion(qdrant: AsyncQdrantClient, library: str) -> None:
    expected: dict[Any, float] = {}
    for ranking in await ranked_apart(qdrant, library):
        scores = np.array([hit.score for hit in ranking])
        low, spread = scores.mean() - 3 * scores.std(ddof=1), 6 * scores.std(ddof=1)
        for hit in ranking:
            expected[hit.id] = expected.get(hit.id, 0.0) + (hit.score - low) / spread

    found = await ask(
        qdrant,
        library,
        prefetch=prefetches(),
        query=models.FusionQuery(fusion=models.Fusion.DBSF),
        limit=40,
    )

    assert {hit.id: hit.score for hit in found} == pytest.approx(expected, abs=1e-4)


async def test_prefetch_is_rescored(qdrant: AsyncQdrantClient, library: str) -> None:
    plane = [0.5, 0.5, -0.5, 0.0]
    first = await ask(qdrant, library, query=QUERY, using=TEXT, limit=30)

    found = await ask(
        qdrant,
        library,
        prefetch=models.Prefetch(query=QUERY, using=TEXT, limit=30),
        query=plane,
        using=PLANE,
        limit=30,
    )

    candidates = {one: vectors(PLANE)[one] for one in ids(first) if one in vectors(PLANE)}
    distances = {one: np.linalg.norm(np.subtract(at, plane)) for one, at in candidates.items()}
    assert ids(found) == sorted(candidates, key=lambda one: distances[one])


async def test_query_by_id_leaves_that_id_out(qdrant: AsyncQdrantClient, library: str) -> None:
    found = await ask(
        qdrant, library, query=point_id(17), using=TEXT, limit=10, search_params=EXACT
    )

    scores = cosine(QUERY)
    del scores[point_id(17)]
    assert ids(found) == best(scores, 10)


async def test_recommendation_by_average(qdrant: AsyncQdrantClient, library: str) -> None:
    liked, disliked = [point_id(8), point_id(16)], [point_id(3)]
    query = models.RecommendQuery(
        recommend=models.RecommendInput(positive=liked, negative=disliked)
    )

    found = await ask(qdrant, library, query=query, using=TEXT, limit=10, search_params=EXACT)

    at = vectors(TEXT)
    mean = np.mean([unit(at[one]) for one in liked], axis=0)
    scores = cosine(2 * mean - unit(at[disliked[0]]))
    examples = {*liked, *disliked}
    assert ids(found) == [one for one in best(scores, 20) if one not in examples][:10]


@pytest.mark.parametrize("strategy", ["best_score", "sum_scores"])
async def test_recommendation_by_score_leaves_examples_out(
    qdrant: AsyncQdrantClient, library: str, strategy: str
) -> None:
    liked, disliked = [point_id(8), point_id(16)], [point_id(3)]
    query = models.RecommendQuery(
        recommend=models.RecommendInput(
            positive=liked, negative=disliked, strategy=models.RecommendStrategy(strategy)
        )
    )

    found = await ask(qdrant, library, query=query, using=TEXT, limit=30)

    assert len(found) == 30
    assert not {*liked, *disliked} & set(ids(found))
    # 8 and 16 lie in cluster 0: so does what they recommend.
    assert all((BY_ID[one].payload or {})["number"] % 8 == 0 for one in ids(found)[:10])


async def test_discovery_goes_to_the_side_of_the_positives(
    qdrant: AsyncQdrantClient, library: str
) -> None:
    pair = models.ContextPair(positive=point_id(8), negative=point_id(3))
    query = models.DiscoverQuery(discover=models.DiscoverInput(target=point_id(16), context=[pair]))

    found = await ask(qdrant, library, query=query, using=TEXT, limit=10)

    like, unlike = cosine(vectors(TEXT)[point_id(8)]), cosine(vectors(TEXT)[point_id(3)])
    assert len(found) == 10
    assert all(like[one] > unlike[one] for one in ids(found))
    assert not {point_id(8), point_id(3), point_id(16)} & set(ids(found))


async def test_context_alone_scores_the_right_side_zero(
    qdrant: AsyncQdrantClient, library: str
) -> None:
    pair = models.ContextPair(positive=point_id(8), negative=point_id(3))

    found = await ask(
        qdrant, library, query=models.ContextQuery(context=[pair]), using=TEXT, limit=10
    )

    assert [hit.score for hit in found] == pytest.approx([0.0] * 10, abs=1e-5)


async def test_order_by_a_payload_field(qdrant: AsyncQdrantClient, library: str) -> None:
    order = models.OrderByQuery(
        order_by=models.OrderBy(key="price", direction=models.Direction.DESC)
    )

    found = await ask(qdrant, library, query=order, limit=25, with_payload=True)

    prices = sorted(((point.payload or {})["price"] for point in POINTS), reverse=True)
    assert [(hit.payload or {})["price"] for hit in found] == prices[:25]


async def test_sample_is_random(qdrant: AsyncQdrantClient, library: str) -> None:
    query = models.SampleQuery(sample=models.Sample.RANDOM)

    samples = [tuple(ids(await ask(qdrant, library, query=query, limit=20))) for _ in range(3)]

    assert {len(set(sample)) for sample in samples} == {20}
    assert len(set(samples)) > 1


async def test_formula_boosts_the_score(qdrant: AsyncQdrantClient, library: str) -> None:
    kind = models.FieldCondition(key="kind", match=models.MatchValue(value="film"))
    boost = models.MultExpression(mult=[0.5, kind])
    formula = models.FormulaQuery(formula=models.SumExpression(sum=["$score", boost]))

    found = await ask(
        qdrant,
        library,
        prefetch=models.Prefetch(query=QUERY, using=TEXT, limit=50),
        query=formula,
        limit=50,
    )

    plain = cosine(QUERY)
    films = {one: (BY_ID[one].payload or {})["kind"] == "film" for one in ids(found)}
    expected = {one: plain[one] + 0.5 * film for one, film in films.items()}
    assert ids(found) == best(expected, 50)
    assert {hit.id: hit.score for hit in found} == pytest.approx(expected, abs=1e-5)


async def test_text_index_ranks_by_bm25(qdrant: AsyncQdrantClient, fresh_name: str) -> None:
    await qdrant.create_collection(fresh_name, vectors_config={})
    scoring = models.TextIndexParams(type=models.TextIndexType.TEXT, scoring=True)
    await qdrant.create_payload_index(fresh_name, "words", scoring)
    texts = ["river river stone", "stone and cloud and ember and river", "ember", "cloud"]
    await qdrant.upsert(
        fresh_name,
        [
            models.PointStruct(id=one, vector={}, payload={"words": words})
            for one, words in enumerate(texts)
        ],
    )

    found = await ask(qdrant, fresh_name, query=models.TextQuery(text="river"), using="words")

    assert ids(found) == [0, 1]


async def test_relevance_trades_for_diversity(qdrant: AsyncQdrantClient, library: str) -> None:
    async def spread(diversity: float) -> tuple[list[Any], float]:
        query = models.NearestQuery(
            nearest=QUERY, mmr=models.Mmr(diversity=diversity, candidates_limit=100)
        )
        found = ids(await ask(qdrant, library, query=query, using=TEXT, limit=10))
        units = np.array([unit(vectors(TEXT)[one]) for one in found])
        return found, float((units @ units.T).mean())

    relevant, alike = await spread(0.0)
    _, diverse = await spread(0.9)

    assert relevant == best(cosine(QUERY), 10)
    assert diverse < alike - 0.1


async def test_threshold_offset_and_selectors(qdrant: AsyncQdrantClient, library: str) -> None:
    scores = cosine(QUERY)
    good = [one for one in best(scores, COUNT) if scores[one] >= 0.5]

    found = await ask(
        qdrant,
        library,
        query=QUERY,
        using=TEXT,
        limit=COUNT,
        offset=3,
        score_threshold=0.5,
        with_payload=models.PayloadSelectorExclude(exclude=["items", "words"]),
        with_vectors=[PARTS],
    )

    assert ids(found) == good[3:]
    assert all("kind" in (hit.payload or {}) for hit in found)
    assert not any({"items", "words"} & (hit.payload or {}).keys() for hit in found)
    assert all(list(hit.vector or {}) == [PARTS] for hit in found)


async def test_payload_and_vectors_stay_home_unless_asked_for(
    qdrant: AsyncQdrantClient, library: str
) -> None:
    [hit] = await ask(qdrant, library, query=QUERY, using=TEXT, limit=1, with_payload=["rank"])
    [bare] = await ask(qdrant, library, query=QUERY, using=TEXT, limit=1, with_payload=False)

    assert (hit.payload, hit.vector) == ({"rank": 17}, None)
    assert not bare.payload


async def test_batch_answers_each_query(qdrant: AsyncQdrantClient, library: str) -> None:
    requests = [
        models.QueryRequest(query=QUERY, using=TEXT, limit=5),
        models.QueryRequest(query=point_id(8), using=TEXT, limit=3, filter=FILMS),
    ]

    answers = await qdrant.query_batch_points(library, requests=requests)

    alone = [
        await ask(qdrant, library, query=QUERY, using=TEXT, limit=5),
        await ask(qdrant, library, query=point_id(8), using=TEXT, limit=3, query_filter=FILMS),
    ]
    assert [ids(answer) for answer in answers] == [ids(hits) for hits in alone]


async def test_groups_hold_the_best_of_each_value(qdrant: AsyncQdrantClient, library: str) -> None:
    answer = await qdrant.query_points_groups(
        library, group_by="tags", query=QUERY, using=TEXT, limit=4, group_size=5, with_payload=True
    )

    ranked = best(cosine(QUERY), COUNT)
    for group in answer.groups:
        members = [one for one in ranked if group.id in (BY_ID[one].payload or {})["tags"]]
        assert ids(group.hits) == members[:5]
        assert all(group.id in (hit.payload or {})["tags"] for hit in group.hits)
    assert {group.id for group in answer.groups} == {"new", "old", "red", "blue"}


async def test_lookup_takes_the_vector_of_another_collection(
    qdrant: AsyncQdrantClient, library: str, fresh_name: str
) -> None:
    params = models.VectorParams(size=16, distance=models.Distance.COSINE)
    await qdrant.create_collection(fresh_name, vectors_config={"other": params})
    await qdrant.upsert(fresh_name, [models.PointStruct(id=2, vector={"other": QUERY})])

    found = await ask(
        qdrant,
        library,
        query=2,
        using=TEXT,
        lookup_from=models.LookupLocation(collection=fresh_name, vector="other"),
        limit=5,
    )

    assert ids(found) == best(cosine(QUERY), 5)


async def test_facet_counts_each_value(qdrant: AsyncQdrantClient, library: str) -> None:
    answer = await qdrant.facet(library, key="tags", facet_filter=FILMS, exact=True)

    films = [point.payload or {} for point in POINTS if (point.payload or {})["kind"] == "film"]
    expected = {tag: sum(tag in film["tags"] for film in films) for tag in ("new", "old", "red")}
    counted = {hit.value: hit.count for hit in answer.hits}
    assert {tag: counted[tag] for tag in expected} == expected


async def test_matrix_names_neighbours_within_the_sample(
    qdrant: AsyncQdrantClient, library: str
) -> None:
    matrix = await qdrant.search_matrix_pairs(library, using=TEXT, sample=20, limit=2)

    scores = {(pair.a, pair.b): pair.score for pair in matrix.pairs}
    assert len(scores) == 40
    assert len({a for a, _ in scores}) == 20
    at = vectors(TEXT)
    expected = {(a, b): float(unit(at[a]) @ unit(at[b])) for a, b in scores}
    assert scores == pytest.approx(expected, abs=1e-5)
