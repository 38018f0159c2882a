"""What is asked of Qdrant: one vector, or several whose rankings it fuses; and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from models.points import QueryVector, SparseVector

RRF_K: Final = 2  # Qdrant's own; with the 60 of the literature its weights would change nothing
_LEAST_CANDIDATES: Final = 100  # of each ranking that is fused
GROUP_BY: Final = "object_id"
Json = dict[str, Any]


class Fusion(StrEnum):
    """How several rankings become one."""

    RRF = "RRF"  # by places, from 0: the sum of 1 / (k - 1 + (place + 1) / weight)
    DBSF = "DBSF"  # by scores, each ranking's spread evened out


@dataclass(frozen=True)
class Neighbour:
    """The vector of a document, perhaps of another collection."""

    document_id: str
    collection_id: str


@dataclass(frozen=True)
class VectorQuery:
    """A vector of one collection by its name, and what it is compared with."""

    using: str
    nearest: QueryVector | Neighbour
    weight: float = 1.0


@dataclass(frozen=True)
class SearchOptions:
    """What holds of a whole search; `accept` is a filter in Qdrant's form."""

    limit: int
    fusion: Fusion = Fusion.RRF
    accept: Json | None = None
    min_score: float | None = None
    per_object: int | None = None  # hits of each object, of which there are then `limit`


@dataclass(frozen=True, slots=True)
class Hit:
    """A point that was found."""

    document_id: str
    score: float


Ranking: TypeAlias = list[Hit]


def query_body(
    collection: str, queries: Sequence[VectorQuery], options: SearchOptions, names: dict[str, str]
) -> Json:
    """Return the request; `names` are the Qdrant collections of the neighbours' collections."""
    body: Json = {"with_payload": False, "limit": options.limit}
    if options.min_score is not None:
        body["score_threshold"] = options.min_score
    if options.per_object is not None:
        body |= {"group_by": GROUP_BY, "group_size": options.per_object}
    parts = [_part(collection, query, options, names) for query in queries]
    if len(parts) == 1:
        return body | parts[0]
    wanted = max(options.limit * (options.per_object or 1), _LEAST_CANDIDATES)
    return body | {
        "prefetch": [{**part, "limit": wanted} for part in parts],
        "query": _fusion(queries, options.fusion),
    }


def _part(
    collection: str, query: VectorQuery, options: SearchOptions, names: dict[str, str]
) -> Json:
    part: Json = {"using": query.using}
    if options.accept is not None:
        part["filter"] = options.accept
    if isinstance(query.nearest, Neighbour):
        part["query"] = {"nearest": query.nearest.document_id}
        other = names[query.nearest.collection_id]
        if other != collection:
            part["lookup_from"] = {"collection": other, "vector": query.using}
        return part
    nearest = query.nearest
    part["query"] = {"nearest": nearest.wire() if isinstance(nearest, SparseVector) else nearest}
    return part


def _fusion(queries: Sequence[VectorQuery], fusion: Fusion) -> Json:
    if fusion is Fusion.DBSF:
        return {"fusion": "dbsf"}
    weights = [query.weight for query in queries]
    weighted = {} if len(set(weights)) == 1 else {"weights": weights}
    return {"rrf": {"k": RRF_K, **weighted}}
