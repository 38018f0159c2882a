"""Routes that write points and read them by id or in order."""

from collections.abc import Callable
from typing import Any

from qdrant_edge import CountRequest, EdgeShard, FacetRequest, ScrollRequest
from starlette.requests import Request
from starlette.routing import Route

from models.embedded.qdrant_front import encode, updates
from models.embedded.qdrant_front.endpoint import body_of, collection_of, endpoint
from models.embedded.qdrant_front.filters import Json, filter_of, identities, identity
from models.embedded.qdrant_front.refusals import decoding, missing, wrong
from models.embedded.qdrant_front.selection import (
    limit_of,
    order_by,
    payload_selector,
    vector_selector,
)
from models.embedded.qdrant_front.updates import Update
from models.embedded.qdrant_front.vectors import VectorSpecs

COMPLETED = {"operation_id": 0, "status": "completed"}


def writes(decode: Callable[[Json, VectorSpecs], Update]) -> Callable[[Request], Any]:
    async def handler(request: Request) -> Json:
        await _apply(request, lambda body, vectors: [decode(body, vectors)])
        return COMPLETED

    return handler


async def batch(request: Request) -> list[Json]:
    return [COMPLETED] * await _apply(request, updates.batch)


async def _apply(request: Request, decode: Callable[[Json, VectorSpecs], list[Update]]) -> int:
    """Read the whole body before the first write, so an error leaves everything as it was."""
    collection, body = collection_of(request), await body_of(request)

    def read_body() -> list[Update]:
        with decoding():
            return decode(body, collection.vectors)

    accepted = await collection.run(read_body)
    await collection.write(accepted)
    return len(accepted)


async def retrieve(request: Request) -> list[Json]:
    body = await body_of(request)
    with decoding():
        ids = identities(body["ids"])
        payload = payload_selector(body.get("with_payload"), default=True)
        vector = vector_selector(body.get("with_vector"))
    return await collection_of(request).read(
        lambda shard: [encode.record(found) for found in _retrieve(shard, ids, payload, vector)]
    )


def _retrieve(shard: EdgeShard, ids: list[Any], payload: Any, vector: Any) -> list[Any]:
    with decoding():  # a string that is no UUID
        return shard.retrieve(ids, payload, vector)


async def get_point(request: Request) -> Json:
    raw: str = request.path_params["id"]
    point = identity(int(raw) if raw.isdecimal() else raw)
    found = await collection_of(request).read(lambda shard: _retrieve(shard, [point], True, True))
    if not found:
        raise missing(f"Point with id {raw} does not exists!")
    return encode.record(found[0])


async def scroll(request: Request) -> Json:
    body = await body_of(request)
    if body.get("order_by") is not None and body.get("offset") is not None:
        raise wrong("Cannot use an offset with order_by: page by start_from")
    with decoding():
        wanted = ScrollRequest(
            offset=None if body.get("offset") is None else identity(body["offset"]),
            limit=limit_of(body.get("limit"), default=10),
            filter=filter_of(body.get("filter")),
            with_payload=payload_selector(body.get("with_payload"), default=True),
            with_vector=vector_selector(body.get("with_vector")),
            order_by=order_by(body.get("order_by")),
        )
    return await collection_of(request).read(lambda shard: _page(shard, wanted))


def _page(shard: EdgeShard, wanted: ScrollRequest) -> Json:
    records, following = shard.scroll(wanted)
    return {"points": [encode.record(one) for one in records], "next_page_offset": following}


async def count(request: Request) -> Json:
    body = await body_of(request)
    with decoding():
        exact = body.get("exact") is not False
        wanted = CountRequest(exact=exact, filter=filter_of(body.get("filter")))
    return {"count": await collection_of(request).read(lambda shard: shard.count(wanted))}


async def facet(request: Request) -> Json:
    body = await body_of(request)
    with decoding():
        wanted = FacetRequest(
            body["key"],
            limit=limit_of(body.get("limit"), default=10),
            exact=bool(body.get("exact")),
            filter=filter_of(body.get("filter")),
        )
    answer = await collection_of(request).read(lambda shard: shard.facet(wanted))
    return {"hits": [{"value": hit.value, "count": hit.count} for hit in answer.hits]}


POINTS = "/collections/{collection}/points"


def _route(path: str, method: str, handler: Any) -> Route:
    return Route(path, endpoint(handler), methods=[method])


ROUTES = [
    _route(POINTS, "PUT", writes(updates.upsert)),
    _route(POINTS, "POST", retrieve),
    _route(f"{POINTS}/delete", "POST", writes(updates.delete)),
    _route(f"{POINTS}/vectors", "PUT", writes(updates.update_vectors)),
    _route(f"{POINTS}/vectors/delete", "POST", writes(updates.delete_vectors)),
    _route(f"{POINTS}/payload", "POST", writes(updates.set_payload)),
    _route(f"{POINTS}/payload", "PUT", writes(updates.overwrite_payload)),
    _route(f"{POINTS}/payload/delete", "POST", writes(updates.delete_payload)),
    _route(f"{POINTS}/payload/clear", "POST", writes(updates.clear_payload)),
    _route(f"{POINTS}/batch", "POST", batch),
    _route(f"{POINTS}/scroll", "POST", scroll),
    _route(f"{POINTS}/count", "POST", count),
    _route(f"{POINTS}/{{id}}", "GET", get_point),
    _route("/collections/{collection}/facet", "POST", facet),
]
