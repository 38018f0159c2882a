"""Qdrant: a Qdrant collection for each collection of ours, so no search crosses namespaces.

<prefix>_{collection_id}   named vectors as the collection declares; payload below
payload                    see `models.vector_payload`
points                     id = document id; written before the document, found only through it

A point without a committed document in MongoDB is invisible: searches read the documents they name.

Points are written by plain HTTP, as columns, from the arrays themselves: a list of Python floats
for each point costs more than everything else on the way.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import numpy as np
import orjson
from httpx import AsyncClient, HTTPError, HTTPStatusError
from qdrant_client import AsyncQdrantClient
from qdrant_client import models as q
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from models.collection import Collection
from models.errors import Misconfigured, NotFound, StoreUnavailable
from models.fields import VectorField, VectorKind
from models.points import VectorRows
from models.settings import QdrantSettings
from models.vector_payload import field_indexes
from models.vector_search import (
    Hit,
    Neighbour,
    Ranking,
    SearchOptions,
    VectorQuery,
    query_body,
)

_DISTANCES: Final = {"cosine": q.Distance.COSINE, "dot": q.Distance.DOT}
_UPSERT_POINTS: Final = 500
_REQUEST_BYTES: Final = 6 * 1024 * 1024  # about; Qdrant takes 32 MiB
_NUMBER_BYTES: Final = 12  # of a number as JSON
_IN_FLIGHT: Final = 2
_TIMEOUT_SECONDS: Final = 30
_INDEXED: Final = ("object_id", "batch_id", "block_id")
_FAILURES: Final = (ResponseHandlingException, UnexpectedResponse, HTTPError, OSError)


class VectorStore:
    """The points of all collections."""

    def __init__(
        self, client: AsyncQdrantClient, http: AsyncClient, settings: QdrantSettings
    ) -> None:
        self._qdrant = client
        self._http = http
        self._prefix = settings.prefix
        self._ensured: set[str] = set()

    def _name(self, collection_id: str) -> str:
        return f"{self._prefix}_{collection_id}"

    async def ensure(self, collection: Collection) -> None:
        """Create a collection's Qdrant collection and payload indexes if they are not there."""
        name = self._name(collection.id)
        if name in self._ensured:
            return
        with _speaking():
            if not await self._qdrant.collection_exists(name):
                await self._create(name, collection.vectors)
            indexes = dict.fromkeys(_INDEXED, "keyword")
            if collection.vectors:
                indexes |= field_indexes(collection.output_fields)
            for field, kind in indexes.items():  # also where a crash left them out
                await self._qdrant.create_payload_index(name, field, q.PayloadSchemaType(kind))
        self._ensured.add(name)

    async def _create(self, name: str, vectors: Sequence[VectorField]) -> None:
        sparse = [vector for vector in vectors if vector.kind is VectorKind.SPARSE]
        try:
            await self._qdrant.create_collection(
                name,
                vectors_config={
                    vector.name: _dense_params(vector) for vector in vectors if vector not in sparse
                },
                sparse_vectors_config={vector.name: _sparse_params(vector) for vector in sparse}
                or None,
            )
        except UnexpectedResponse:
            if not await self._qdrant.collection_exists(name):
                raise  # else another process was faster

    async def upsert(
        self,
        collection_id: str,
        ids: Sequence[str],
        payloads: Sequence[Mapping[str, Any]],
        vectors: Mapping[str, VectorRows],
        *,
        block_id: str,
        epoch: int,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """Write points, durably, unless a later epoch of the same block has written them.

        `vectors` maps a vector's name to the vectors of all points; `progress` hears of each
        request that is done.
        """
        url = f"/collections/{self._name(collection_id)}/points?wait=true"
        said = [orjson.dumps(payload) for payload in payloads]
        unless = {"must_not": [_later(block_id, epoch)]}
        gate = asyncio.Semaphore(_IN_FLIGHT)

        async def write(start: int, stop: int) -> None:
            async with gate:
                batch = {
                    "ids": ids[start:stop],
                    "payloads": [orjson.Fragment(one) for one in said[start:stop]],
                    "vectors": {name: rows.wire(start, stop) for name, rows in vectors.items()},
                }
                body = orjson.dumps(
                    {"batch": batch, "update_filter": unless}, option=orjson.OPT_SERIALIZE_NUMPY
                )
                answer = await self._http.put(url, content=body)
                answer.raise_for_status()
                progress()

        try:
            async with asyncio.TaskGroup() as group:
                for start, stop in _requests([len(one) for one in said], vectors):
                    group.create_task(write(start, stop))
        except* _FAILURES as failures:
            self._ensured.discard(self._name(collection_id))  # Qdrant may have lost it
            raise _unavailable(failures.exceptions[0]) from failures

    async def delete(self, collection_id: str, ids: Sequence[str]) -> None:
        """Remove points by id."""
        if ids:
            with _speaking():
                await self._qdrant.delete(
                    self._name(collection_id), q.PointIdsList(points=list(ids))
                )

    async def drop(self, collection_id: str) -> None:
        """Remove a collection's Qdrant collection."""
        with _speaking():
            await self._qdrant.delete_collection(self._name(collection_id))
        self._ensured.discard(self._name(collection_id))

    async def search(
        self, collection_id: str, vector: Sequence[float], *, using: str, limit: int
    ) -> Ranking:
        """Return the nearest points of one dense vector, best first; raises as `rank` does."""
        query = VectorQuery(using, np.asarray(vector, dtype=np.float32))
        return await self.rank(collection_id, [query], SearchOptions(limit))

    async def rank(
        self, collection_id: str, queries: Sequence[VectorQuery], options: SearchOptions
    ) -> Ranking:
        """Return the nearest points, best first; several queries are fused into one ranking.

        Raises:
            NotFound: nothing was ever written to the collection, or of the document named.
            StoreUnavailable: Qdrant does not answer.
        """
        found = await self._ask(collection_id, "query", queries, options)
        return _hits(found["points"])

    async def rank_objects(
        self, collection_id: str, queries: Sequence[VectorQuery], options: SearchOptions
    ) -> list[tuple[str, Ranking]]:
        """Return the best objects with `options.per_object` points of each; raises as `rank`."""
        found = await self._ask(collection_id, "query/groups", queries, options)
        return [(str(group["id"]), _hits(group["hits"])) for group in found["groups"]]

    async def _ask(
        self,
        collection_id: str,
        route: str,
        queries: Sequence[VectorQuery],
        options: SearchOptions,
    ) -> Any:
        name = self._name(collection_id)
        neighbours = [one.nearest for one in queries if isinstance(one.nearest, Neighbour)]
        names = {one.collection_id: self._name(one.collection_id) for one in neighbours}
        body = query_body(name, queries, options, names)
        content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        try:
            answer = await self._http.post(f"/collections/{name}/points/{route}", content=content)
            if answer.status_code == 404:
                raise NotFound("The collection has no vectors yet.")
            answer.raise_for_status()
        except _FAILURES as error:
            raise _unavailable(error) from error
        return orjson.loads(answer.content)["result"]

    async def count_block(self, collection_id: str, block_id: str, *, epoch: int) -> int:
        """Return how many points a block has written under an epoch."""
        mine = q.Filter(
            must=[
                q.FieldCondition(key="block_id", match=q.MatchValue(value=block_id)),
                q.FieldCondition(key="epoch", range=q.Range(gte=epoch, lte=epoch)),
            ]
        )
        with _speaking():
            answer = await self._qdrant.count(
                self._name(collection_id), count_filter=mine, exact=True
            )
        return answer.count

    async def count(self, collection_id: str) -> int:
        """Return the exact number of points."""
        with _speaking():
            answer = await self._qdrant.count(self._name(collection_id), exact=True)
        return answer.count


@asynccontextmanager
async def open_vectors(settings: QdrantSettings) -> AsyncIterator[VectorStore]:
    """Open the Qdrant client for the length of a block."""
    if settings.url is None:
        raise Misconfigured(
            "Qdrant has no address.", hint="Run `strata up`, or set STRATA_QDRANT__URL."
        )
    key = settings.api_key
    # As a header of ours, or the client warns that it goes over plain HTTP; on loopback it may.
    headers = {} if key is None else {"api-key": key.get_secret_value()}
    client = AsyncQdrantClient(
        settings.url, headers=headers, timeout=_TIMEOUT_SECONDS, check_compatibility=False
    )
    sent = {**headers, "content-type": "application/json"}
    try:
        async with AsyncClient(
            base_url=settings.url, headers=sent, timeout=_TIMEOUT_SECONDS
        ) as http:
            yield VectorStore(client, http, settings)
    finally:
        await client.close()


def _dense_params(vector: VectorField) -> q.VectorParams:
    multi = vector.kind is VectorKind.MULTI
    return q.VectorParams(
        size=vector.dimension,
        distance=_DISTANCES[vector.distance],
        multivector_config=q.MultiVectorConfig(comparator=q.MultiVectorComparator.MAX_SIM)
        if multi
        else None,
    )


def _sparse_params(vector: VectorField) -> q.SparseVectorParams:
    return q.SparseVectorParams(modifier=q.Modifier.IDF if vector.idf else None)


def _hits(points: Sequence[Mapping[str, Any]]) -> Ranking:
    return [Hit(str(point["id"]), float(point["score"])) for point in points]


def _later(block_id: str, epoch: int) -> dict[str, Any]:
    """Match points that the block wrote under a later epoch."""
    return {
        "must": [
            {"key": "block_id", "match": {"value": block_id}},
            {"key": "epoch", "range": {"gt": epoch}},
        ]
    }


def _requests(
    payloads: Sequence[int], vectors: Mapping[str, VectorRows]
) -> Iterator[tuple[int, int]]:
    """Cut points into requests of bounded size; a point larger than that goes alone."""
    sizes = np.array(payloads, dtype=np.int64)
    for rows in vectors.values():
        sizes = sizes + rows.sizes() * _NUMBER_BYTES
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        most = ends[start] - sizes[start] + _REQUEST_BYTES
        fitting = int(np.searchsorted(ends, most, side="right"))
        stop = min(max(fitting, start + 1), start + _UPSERT_POINTS)
        yield start, stop
        start = stop


@contextmanager
def _speaking() -> Iterator[None]:
    """Whatever the client raises in here means that Qdrant is not available."""
    try:
        yield
    except _FAILURES as error:
        raise _unavailable(error) from error


def _unavailable(error: BaseException) -> StoreUnavailable:
    answered = error.response if isinstance(error, HTTPStatusError) else error
    status = getattr(answered, "status_code", "")
    return StoreUnavailable(
        f"Qdrant failed: {type(error).__name__} {status}".rstrip() + ".",
        hint="Check STRATA_QDRANT__URL.",
    )
