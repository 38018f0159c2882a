"""Distance matrices: a sample of points and the nearest neighbours of each within it."""

from typing import Any

import qdrant_edge as edge

from models.embedded.qdrant_front.filters import Json, filter_of
from models.embedded.qdrant_front.refusals import decoding
from models.embedded.qdrant_front.selection import limit_of
from models.embedded.qdrant_front.vectors import UNNAMED

SAMPLE, LIMIT = 10, 3

Neighbours = list[tuple[Any, Any, float]]


def matrix_pairs(shard: edge.EdgeShard, body: Json) -> Json:
    _, found = _neighbours(shard, body)
    return {"pairs": [{"a": a, "b": b, "score": score} for a, b, score in found]}


def matrix_offsets(shard: edge.EdgeShard, body: Json) -> Json:
    ids, found = _neighbours(shard, body)
    at = {point: offset for offset, point in enumerate(ids)}
    return {
        "offsets_row": [at[a] for a, _, _ in found],
        "offsets_col": [at[b] for _, b, _ in found],
        "scores": [score for _, _, score in found],
        "ids": ids,
    }


def _neighbours(shard: edge.EdgeShard, body: Json) -> tuple[list[Any], Neighbours]:
    using = body.get("using") or UNNAMED
    with decoding():
        limit = limit_of(body.get("limit"), default=LIMIT)
        sampled = _sample(shard, body, using)
    ids = sorted(sampled, key=str)
    requests = [_request(sampled[point], using, limit, set(ids) - {point}) for point in ids]
    answers = shard.query_batch(edge.QueryBatchRequest(requests))
    found = [
        (point, hit.id, hit.score) for point, hits in zip(ids, answers, strict=True) for hit in hits
    ]
    return ids, found


def _sample(shard: edge.EdgeShard, body: Json, using: str) -> dict[Any, Any]:
    """Random points that have the vector, with it."""
    accepted = filter_of(body.get("filter"))
    conditions: list[Any] = [edge.HasVectorCondition(using)]
    hits = shard.query(
        edge.QueryRequest(
            limit=limit_of(body.get("sample"), default=SAMPLE),
            query=edge.Sample.Random,
            filter=edge.Filter(must=conditions + ([accepted] if accepted else [])),
            with_vector=[using],
        )
    )
    vectors = {hit.id: hit.vector for hit in hits}
    return {
        point: vector[using] if isinstance(vector, dict) else vector
        for point, vector in vectors.items()
    }


def _request(vector: Any, using: str, limit: int, among: set[Any]) -> edge.QueryRequest:
    return edge.QueryRequest(
        limit=limit,
        query=edge.Query.Nearest(vector, using),
        filter=edge.Filter(must=[edge.HasIdCondition(among)]),
    )
