"""Routes that search: one query, several, and groups."""

from collections.abc import Callable
from typing import Any, TypeVar

from qdrant_edge import EdgeShard, QueryBatchRequest
from starlette.requests import Request
from starlette.routing import Route

from models.embedded.qdrant_front import encode
from models.embedded.qdrant_front.collection import Collection
from models.embedded.qdrant_front.endpoint import body_of, collection_of, endpoint, store_of
from models.embedded.qdrant_front.filters import Json, PointId
from models.embedded.qdrant_front.grouping import Grouping
from models.embedded.qdrant_front.matrix import matrix_offsets, matrix_pairs
from models.embedded.qdrant_front.queries import FetchVector, QueryReader
from models.embedded.qdrant_front.refusals import decoding, missing
from models.embedded.qdrant_front.store import Store

T = TypeVar("T")


async def query(request: Request) -> Json:
    body = await body_of(request)
    answers = await _search(request, lambda shard, reader: _query_all(shard, reader, [body]))
    return answers[0]


async def query_batch(request: Request) -> list[Json]:
    body = await body_of(request)
    with decoding():
        searches = list(body["searches"])
    return await _search(request, lambda shard, reader: _query_all(shard, reader, searches))


async def query_groups(request: Request) -> Json:
    body, store = await body_of(request), store_of(request)
    groups = await _search(
        request, lambda shard, reader: Grouping(shard, reader, store, body).groups()
    )
    return {"groups": groups}


async def pairs(request: Request) -> Json:
    body = await body_of(request)
    return await _search(request, lambda shard, _: matrix_pairs(shard, body))


async def offsets(request: Request) -> Json:
    body = await body_of(request)
    return await _search(request, lambda shard, _: matrix_offsets(shard, body))


async def _search(request: Request, work: Callable[[EdgeShard, QueryReader], T]) -> T:
    """Read, search and encode in one go on one thread."""
    collection, store = collection_of(request), store_of(request)
    return await collection.read(
        lambda shard: work(shard, QueryReader(collection.vectors, _fetch_from(shard, store)))
    )


def _query_all(shard: EdgeShard, reader: QueryReader, bodies: list[Json]) -> list[Json]:
    with decoding():
        requests = [reader.request(body) for body in bodies]
    if len(requests) == 1:
        answers = [shard.query(requests[0])]
    else:
        answers = shard.query_batch(QueryBatchRequest(requests))
    return [
        {"points": [encode.scored(hit, with_vector=bool(body.get("with_vector"))) for hit in hits]}
        for body, hits in zip(bodies, answers, strict=True)
    ]


def _fetch_from(shard: EdgeShard, store: Store) -> FetchVector:
    def fetch(point: PointId, name: str, other: str | None) -> Any:
        if other is None:
            return _vector(shard, point, name)
        looked_up: Collection = store.get(other)
        with looked_up.shard() as there:
            return _vector(there, point, name)

    return fetch


def _vector(shard: EdgeShard, point: PointId, name: str) -> Any:
    found = shard.retrieve([point], False, [name])
    if not found:
        raise missing(f"Point with id {point} does not exists!")
    vector: Any = found[0].vector
    if isinstance(vector, dict):
        vector = vector.get(name)
    if not vector:
        raise missing(f"Point {point} has no vector `{name or 'default'}`")
    return vector


POINTS = "/collections/{collection}/points"


def _route(path: str, handler: Any) -> Route:
    return Route(path, endpoint(handler), methods=["POST"])


ROUTES = [
    _route(f"{POINTS}/query", query),
    _route(f"{POINTS}/query/batch", query_batch),
    _route(f"{POINTS}/query/groups", query_groups),
    _route(f"{POINTS}/search/matrix/pairs", pairs),
    _route(f"{POINTS}/search/matrix/offsets", offsets),
]
