"""A search, from the request to the documents.

Qdrant's answer is a hint: a hit counts when MongoDB has its document, of the collection that was
asked, and the document as committed fits the filter. So more hits are fetched than are wanted, and
again more when too few of them count.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from engine.filters import compile_filter
from engine.queries import QueryEncoder
from models.collection import Collection
from models.document import Document
from models.errors import InvalidInput, NotFound
from models.fields import FieldType
from models.filters import Filter
from models.scope import Scope
from models.stores import Stores
from models.vector_payload import point_filter
from models.vector_search import Hit, Ranking, SearchOptions, VectorQuery
from workers.searching.asking import ask
from workers.searching.fusing import fuse
from workers.searching.request import Found, FoundObject, SearchRequest
from workers.searching.targets import Target, find_targets
from workers.sources import SourceSchema, check_filter

_SPARE: Final = 10  # hits whose documents are not committed, or were deleted
_WIDENING: Final = 4
_ROUNDS: Final = 4
_MOST_OFFSET: Final = 1_000
_MOST_PER_OBJECT: Final = 20
Objects: TypeAlias = list[tuple[str, Ranking]]


@dataclass(frozen=True)
class _Part:
    """Vectors that Qdrant ranks in one request: all that are asked for, or one of several."""

    collection: Collection
    queries: list[VectorQuery]
    weight: float
    accept: Filter | None


async def search_documents(
    scope: Scope, stores: Stores, encoder: QueryEncoder, request: SearchRequest
) -> list[Found] | list[FoundObject]:
    """Return the nearest documents; by object, if so many of each were asked for.

    Raises:
        NotFound: no such bucket, collection or document.
        InvalidInput: the request makes no sense, or does not fit the vectors.
        ExtractorUnavailable: a net that would embed the question is not on this machine.
        StoreUnavailable: Qdrant does not answer.
    """
    require_page(request)
    targets = await find_targets(scope, request)
    return await search_targets(scope, stores, encoder, request, targets)


async def search_targets(
    scope: Scope,
    stores: Stores,
    encoder: QueryEncoder,
    request: SearchRequest,
    targets: Sequence[Target],
) -> list[Found] | list[FoundObject]:
    """Search what was found to be searched."""
    queries = [await ask(scope, encoder, target) for target in targets]
    search = _Search(scope, stores, request, _parts(targets, queries, request))
    return await (search.documents() if request.per_object is None else search.objects())


def require_page(request: SearchRequest) -> None:
    """Refuse a page that no search has; raises InvalidInput."""
    if not 0 <= request.offset <= _MOST_OFFSET:
        raise InvalidInput(f"`offset` is from 0 to {_MOST_OFFSET}.", path=("offset",))
    if request.per_object is not None and not 1 <= request.per_object <= _MOST_PER_OBJECT:
        raise InvalidInput(
            f"`hitsPerObject` is from 1 to {_MOST_PER_OBJECT}.", path=("hitsPerObject",)
        )


def _parts(
    targets: Sequence[Target], queries: Sequence[VectorQuery], request: SearchRequest
) -> list[_Part]:
    accepts = {one.collection.id: _checked(request.accept, one.collection) for one in targets}
    first = targets[0].collection
    if len(accepts) == 1:
        return [_Part(first, list(queries), 1.0, accepts[first.id])]
    return [
        _Part(target.collection, [query], target.weight, accepts[target.collection.id])
        for target, query in zip(targets, queries, strict=True)
    ]


def _checked(accept: Filter | None, collection: Collection) -> Filter | None:
    if accept is None:
        return None
    # What was passed through from a source without a schema is called an OBJECT.
    known = {
        one.name: None if one.type is FieldType.OBJECT else one.type
        for one in collection.output_fields
    }
    return check_filter(
        accept, SourceSchema({"object_id": FieldType.STRING, **known}), where=("filter",)
    )


class _Search:
    """One request, its questions already in Qdrant's terms."""

    def __init__(
        self, scope: Scope, stores: Stores, request: SearchRequest, parts: Sequence[_Part]
    ) -> None:
        self._scope = scope
        self._vectors = stores.vectors
        self._request = request
        self._parts = parts
        self._wanted = request.offset + request.limit

    async def documents(self) -> list[Found]:
        """Return the page of documents."""
        found: list[Found] = []
        for limit in _widths(self._wanted):
            rankings = await asyncio.gather(*(self._rank(part, limit) for part in self._parts))
            keyed = [[(hit.document_id, hit.score) for hit in ranking] for ranking in rankings]
            scores = self._fused(keyed)
            visible = await self._visible(list(scores))
            found = [Found(scores[one], visible[one]) for one in scores if one in visible]
            if len(found) >= self._wanted or _exhausted(rankings, limit):
                break
        return found[self._request.offset : self._wanted]

    async def objects(self) -> list[FoundObject]:
        """Return the page of objects."""
        found: list[FoundObject] = []
        for limit in _widths(self._wanted):
            answers = await asyncio.gather(*(self._objects(part, limit) for part in self._parts))
            keyed = [[(key, hits[0].score) for key, hits in answer] for answer in answers]
            scores = self._fused(keyed)
            hits = _merged(answers)
            visible = await self._visible([hit.document_id for one in hits.values() for hit in one])
            found = [
                FoundObject(key, score, shown)
                for key, score in scores.items()
                if (shown := self._shown(hits[key], visible))
            ]
            if len(found) >= self._wanted or _exhausted(answers, limit):
                break
        return found[self._request.offset : self._wanted]

    def _fused(self, rankings: Sequence[Sequence[tuple[str, float]]]) -> dict[str, float]:
        if len(rankings) == 1:
            return dict(rankings[0])
        weights = [part.weight for part in self._parts]
        scores = fuse(rankings, weights, self._request.fusion)
        least = self._request.min_score
        return {key: score for key, score in scores.items() if least is None or score >= least}

    def _shown(self, hits: Ranking, visible: Mapping[str, Document]) -> list[Found]:
        counted = [hit for hit in hits if hit.document_id in visible]
        return [
            Found(hit.score, visible[hit.document_id])
            for hit in counted[: self._request.per_object]
        ]

    async def _rank(self, part: _Part, limit: int) -> Ranking:
        try:
            return await self._vectors.rank(
                part.collection.id, part.queries, self._options(part, limit)
            )
        except NotFound:
            return []

    async def _objects(self, part: _Part, limit: int) -> Objects:
        assert self._request.per_object is not None
        options = replace(self._options(part, limit), per_object=self._request.per_object + _SPARE)
        try:
            return await self._vectors.rank_objects(part.collection.id, part.queries, options)
        except NotFound:
            return []

    def _options(self, part: _Part, limit: int) -> SearchOptions:
        alone = len(self._parts) == 1  # else scores are fused here, and judged afterwards
        fields = part.collection.output_fields
        return SearchOptions(
            limit=limit,
            fusion=self._request.fusion,
            accept=None if part.accept is None else point_filter(part.accept, fields, ("filter",)),
            min_score=self._request.min_score if alone else None,
        )

    async def _visible(self, ids: Sequence[str]) -> dict[str, Document]:
        """Return the documents that may be shown, by id."""
        tests = {part.collection.id: compile_filter(part.accept) for part in self._parts}
        found = await self._scope.find_many(Document, ids)
        return {
            one.id: one
            for one in found.values()
            if one.collection_id in tests
            and tests[one.collection_id]({"object_id": one.object_id, **one.fields})
        }


def _widths(wanted: int) -> Iterator[int]:
    """Yield how many hits to ask for, each time more."""
    return ((wanted + _SPARE) * _WIDENING**number for number in range(_ROUNDS))


def _exhausted(answers: Sequence[Sequence[object]], limit: int) -> bool:
    return all(len(answer) < limit for answer in answers)


def _merged(answers: Sequence[Objects]) -> dict[str, Ranking]:
    """Return each object's hits of all rankings: the first of each, then the second, and so on."""
    hits: dict[str, list[tuple[int, Hit]]] = {}
    for answer in answers:
        for key, ranking in answer:
            hits.setdefault(key, []).extend(enumerate(ranking))
    return {
        key: [hit for _, hit in sorted(placed, key=lambda one: one[0])]
        for key, placed in hits.items()
    }
