"""Universal queries: from the JSON of the REST API to the engine's query requests.

Where a request names points, their vectors are fetched first and, within the same collection, the
points themselves are left out of the answer, at the level of the request that names them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import qdrant_edge as edge

from models.embedded.qdrant_front.filters import Json, PointId, filter_of, identity, without
from models.embedded.qdrant_front.formula import formula
from models.embedded.qdrant_front.recommendation import mean_query
from models.embedded.qdrant_front.refusals import wrong
from models.embedded.qdrant_front.selection import (
    limit_of,
    order_by,
    payload_selector,
    search_params,
    vector_selector,
)
from models.embedded.qdrant_front.vectors import UNNAMED, VectorSpecs

LIMIT = 10
RRF_K = 2
DIVERSITY = 0.5

# The vector of one point, by its id and the vector's name, of this or of the collection named.
FetchVector = Callable[[PointId, str, str | None], Any]


@dataclass(slots=True)
class _Level:
    """What holds at one level of a request: the vector used, where ids are looked up."""

    using: str
    lookup: Json | None
    named: set[PointId] = field(default_factory=set)


class QueryReader:
    """Reads queries against one collection."""

    def __init__(self, vectors: VectorSpecs, fetch: FetchVector) -> None:
        self._vectors = vectors
        self._fetch = fetch

    def request(self, body: Json) -> edge.QueryRequest:
        scoring, accepted = self._scoring(body)
        prefetches = self._prefetches(body)
        if prefetches and scoring is None:
            raise wrong("a query over prefetches must say how to combine or rescore them")
        return edge.QueryRequest(
            limit=limit_of(body.get("limit"), default=LIMIT),
            offset=body.get("offset") or 0,
            query=scoring,
            prefetches=prefetches,
            with_vector=vector_selector(body.get("with_vector")),
            with_payload=payload_selector(body.get("with_payload"), default=False),
            filter=accepted,
            score_threshold=body.get("score_threshold"),
            params=search_params(body.get("params")),
        )

    def _prefetches(self, body: Json) -> list[edge.Prefetch]:
        value = body.get("prefetch") or []
        return [self._prefetch(one) for one in (value if isinstance(value, list) else [value])]

    def _prefetch(self, body: Json) -> edge.Prefetch:
        scoring, accepted = self._scoring(body)
        return edge.Prefetch(
            limit=limit_of(body.get("limit"), default=LIMIT),
            query=scoring,
            prefetches=self._prefetches(body),
            params=search_params(body.get("params")),
            filter=accepted,
            score_threshold=body.get("score_threshold"),
        )

    def _scoring(self, body: Json) -> tuple[Any, edge.Filter | None]:
        """How points are scored, and the filter without the points that the query names."""
        level = _Level(body.get("using") or UNNAMED, body.get("lookup_from"))
        scoring = self._query(body.get("query"), level, limit_of(body.get("limit"), default=LIMIT))
        return scoring, without(filter_of(body.get("filter")), level.named)

    def _query(self, value: Any, level: _Level, limit: int) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict) or "indices" in value:
            return self._nearest({"nearest": value}, level, limit)
        for name, read in self._kinds().items():
            if name in value:
                return read(value, level, limit)
        raise wrong(f"unknown query: {sorted(value)}")

    def _kinds(self) -> dict[str, Callable[[Json, _Level, int], Any]]:
        return {
            "nearest": self._nearest,
            "recommend": self._recommend,
            "discover": self._discover,
            "context": self._context,
            "relevance_feedback": self._feedback,
            "order_by": lambda body, *_: order_by(body["order_by"]),
            "fusion": lambda body, *_: _fusion(body["fusion"]),
            "rrf": lambda body, *_: _rrf(body["rrf"]),
            "formula": lambda body, *_: formula(body),
            "sample": lambda body, *_: {"random": edge.Sample.Random}[body["sample"]],
            "text": _text,
        }

    def _vector(self, value: Any, level: _Level) -> Any:
        """A vector as given, or that of the point named."""
        if type(value) is int or isinstance(value, str):
            return self._vector_of(identity(value), level)
        return self._vectors.of_name(level.using, value)

    def _vector_of(self, point: PointId, level: _Level) -> Any:
        if level.lookup is None:
            level.named.add(point)
            return self._fetch(point, level.using, None)
        name = level.lookup.get("vector") or level.using
        return self._fetch(point, name, level.lookup["collection"])

    def _nearest(self, body: Json, level: _Level, limit: int) -> Any:
        vector = self._vector(body["nearest"], level)
        mmr = body.get("mmr")
        if mmr is None:
            self._vectors[level.using]
            return edge.Query.Nearest(vector, level.using)
        diversity = DIVERSITY if mmr.get("diversity") is None else mmr["diversity"]
        candidates = mmr.get("candidates_limit") or limit
        return edge.Mmr(vector, 1 - diversity, candidates, level.using)

    def _recommend(self, body: Json, level: _Level, _: int) -> Any:
        wanted = body["recommend"]
        liked = [self._vector(one, level) for one in wanted.get("positive") or []]
        disliked = [self._vector(one, level) for one in wanted.get("negative") or []]
        strategy = wanted.get("strategy") or "average_vector"
        if strategy == "average_vector":
            return edge.Query.Nearest(mean_query(liked, disliked), level.using)
        if not liked and not disliked:
            raise wrong("a recommendation needs at least one example")
        kind = {
            "best_score": edge.Query.RecommendBestScore,
            "sum_scores": edge.Query.RecommendSumScores,
        }[strategy]
        return kind(edge.RecommendQuery(liked, disliked), level.using)

    def _discover(self, body: Json, level: _Level, _: int) -> Any:
        wanted = body["discover"]
        target = self._vector(wanted["target"], level)
        pairs = self._pairs(wanted.get("context"), level)
        return edge.Query.Discover(edge.DiscoverQuery(target, pairs), level.using)

    def _context(self, body: Json, level: _Level, _: int) -> Any:
        pairs = self._pairs(body["context"], level)
        return edge.Query.Context(edge.ContextQuery(pairs), level.using)

    def _pairs(self, value: Any, level: _Level) -> list[edge.ContextPair]:
        pairs = value if isinstance(value, list) else [value] if value else []
        return [
            edge.ContextPair(
                self._vector(one["positive"], level), self._vector(one["negative"], level)
            )
            for one in pairs
        ]

    def _feedback(self, body: Json, level: _Level, _: int) -> Any:
        wanted = body["relevance_feedback"]
        naive = wanted["strategy"]["naive"]
        items = [
            edge.FeedbackItem(self._vector(one["example"], level), one["score"])
            for one in wanted["feedback"]
        ]
        strategy = edge.NaiveFeedbackStrategy(naive["a"], naive["b"], naive["c"])
        target = self._vector(wanted["target"], level)
        return edge.Query.FeedbackNaive(
            edge.FeedbackNaiveQuery(target, items, strategy), level.using
        )


def _fusion(name: str) -> Any:
    return edge.Fusion.Rrf(RRF_K, None) if name == "rrf" else {"dbsf": edge.Fusion.Dbsf}[name]()


def _rrf(body: Json) -> edge.Fusion.Rrf:
    return edge.Fusion.Rrf(RRF_K if body.get("k") is None else body["k"], body.get("weights"))


def _text(body: Json, level: _Level, _: int) -> edge.TextQuery:
    """Ranking by a text index; `using` names the payload field here."""
    wanted = body["text"]
    if isinstance(wanted, str):
        return edge.TextQuery(level.using, wanted)
    bm25 = (wanted.get("scoring") or {}).get("bm25") or {}
    scoring = edge.Bm25Params(bm25.get("k"), bm25.get("b"))
    return edge.TextQuery(level.using, wanted["query"], scoring)
