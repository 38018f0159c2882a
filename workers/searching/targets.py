"""Which collections a search reads, and which vectors of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from models.bucket import Bucket
from models.collection import Collection
from models.errors import InvalidInput
from models.fields import VectorField
from models.ids import feature_uri
from models.scope import Scope
from models.vector_search import Fusion
from workers.searching.request import Question, SearchRequest, WantedVector

_MOST_COLLECTIONS: Final = 20
_MOST_VECTORS: Final = 8
Where = tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """One vector of one collection; `where` is the place of the question in the request."""

    collection: Collection
    vector: VectorField
    question: Question
    weight: float
    where: Where


async def find_targets(scope: Scope, request: SearchRequest) -> list[Target]:
    """Return what is searched, at least one vector.

    Raises:
        NotFound: no such bucket or collection.
        InvalidInput: nothing there has such a vector, or too much does.
    """
    collections, where = await _collections(scope, request)
    searchable = [one for one in collections if one.vectors]
    if not searchable:
        raise InvalidInput(_without_vectors(collections), path=where)
    if len(searchable) > _MOST_COLLECTIONS:
        raise InvalidInput(
            f"A search reads at most {_MOST_COLLECTIONS} collections; here are {len(searchable)}.",
            path=where,
            hint="Name some with `collectionIds`, or choose vectors.",
        )
    targets = _chosen(searchable, request) if request.vectors else _firsts(searchable, request)
    if len(targets) > _MOST_VECTORS:
        raise InvalidInput(
            f"A search compares at most {_MOST_VECTORS} vectors; these are {len(targets)}.",
            path=("vectors",) if request.vectors else where,
        )
    return targets


def _without_vectors(collections: Sequence[Collection]) -> str:
    if len(collections) == 1:
        return f"Collection {collections[0].name!r} has no vectors to search."
    return "No collection here has vectors to search."


async def _collections(scope: Scope, request: SearchRequest) -> tuple[list[Collection], Where]:
    given = [request.collection_id, request.collection_ids, request.bucket_id]
    if sum(one is not None for one in given) != 1:
        raise InvalidInput("Give exactly one of `collectionId`, `collectionIds` and `bucketId`.")
    if request.bucket_id is not None:
        await scope.require(Bucket, request.bucket_id, path=("bucketId",))
        return await _family(scope, request.bucket_id), ("bucketId",)
    if request.collection_id is not None:
        where = ("collectionId",)
        return [await scope.require(Collection, request.collection_id, path=where)], where
    ids = list(dict.fromkeys(request.collection_ids or []))
    if not 0 < len(ids) <= _MOST_COLLECTIONS:
        raise InvalidInput(f"Name 1 to {_MOST_COLLECTIONS} collections.", path=("collectionIds",))
    found = [
        await scope.require(Collection, one, path=("collectionIds", str(place)))
        for place, one in enumerate(ids)
    ]
    return found, ("collectionIds",)


async def _family(scope: Scope, bucket_id: str) -> list[Collection]:
    """Return the collections that read a bucket, and those that read them."""
    every = await scope.all(Collection)
    family = {one.id: one for one in every if one.source.bucket_id == bucket_id}
    grown = -1
    while grown != len(family):
        grown = len(family)
        family |= {
            one.id: one for one in every if not family.keys().isdisjoint(one.source.collection_ids)
        }
    return list(family.values())


def _firsts(collections: Sequence[Collection], request: SearchRequest) -> list[Target]:
    return [Target(one, one.vectors[0], request.question, 1.0, ("query",)) for one in collections]


def _chosen(collections: Sequence[Collection], request: SearchRequest) -> list[Target]:
    targets: list[Target] = []
    for place, wanted in enumerate(request.vectors):
        where: Where = ("vectors", str(place))
        _require_weight(wanted, request.fusion, where)
        own = wanted.question is not None
        asked = wanted.question or request.question
        found = [
            Target(one, vector, asked, wanted.weight, (*where, "query") if own else ("query",))
            for one in collections
            for vector in one.vectors
            if _fits(wanted, one, vector, where)
        ]
        if not found:
            raise InvalidInput(
                "No collection here has such a vector.", path=where, hint=_offer(collections)
            )
        targets += found
    chosen = [(target.collection.id, target.vector.name) for target in targets]
    if len(set(chosen)) < len(chosen) and len({id(one.question) for one in targets}) == 1:
        raise InvalidInput("A vector is chosen twice for one question.", path=("vectors",))
    return targets


def _fits(wanted: WantedVector, collection: Collection, vector: VectorField, where: Where) -> bool:
    if (wanted.feature is None) == (wanted.name is None):
        raise InvalidInput("Give exactly one of `feature` and `name`.", path=where)
    if wanted.feature is not None:
        return wanted.feature == feature_uri(collection.extractor.label, vector.name)
    return wanted.name == vector.name


def _require_weight(wanted: WantedVector, fusion: Fusion, where: Where) -> None:
    path = (*where, "weight")
    if not (math.isfinite(wanted.weight) and wanted.weight > 0):
        raise InvalidInput("A weight is a positive number.", path=path)
    if wanted.weight != 1 and fusion is Fusion.DBSF:
        raise InvalidInput("DBSF takes no weights.", path=path, hint="Use RRF.")


def _offer(collections: Sequence[Collection]) -> str:
    there = {
        feature_uri(one.extractor.label, vector.name)
        for one in collections
        for vector in one.vectors
    }
    return f"Vectors: {', '.join(sorted(there))}."
