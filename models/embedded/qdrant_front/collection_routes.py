"""Routes about collections, their vectors, payload indexes, aliases and index builds."""

from typing import Any

from qdrant_edge import UpdateOperation
from starlette.requests import Request
from starlette.routing import Route

from models.embedded.qdrant_front import payload_indexes
from models.embedded.qdrant_front.collection import Collection
from models.embedded.qdrant_front.config import (
    changed,
    config_of,
    create_vector,
    described,
    edge_config,
    single_or_named,
)
from models.embedded.qdrant_front.endpoint import (
    body_of,
    collection_of,
    endpoint,
    indexer_of,
    name_of,
    store_of,
)
from models.embedded.qdrant_front.filters import Json
from models.embedded.qdrant_front.refusals import Refusal, decoding, wrong
from models.embedded.qdrant_front.updates import Update
from models.embedded.qdrant_front.vectors import dense_params, specs_of

DONE = {"operation_id": 0, "status": "completed"}


async def list_collections(request: Request) -> Json:
    return {"collections": [{"name": name} for name in store_of(request).collections]}


async def create(request: Request) -> bool:
    body = await body_of(request)
    with decoding():
        config = config_of(body)
        specs_of(config)
    await store_of(request).create(name_of(request), config)
    return True


async def describe(request: Request) -> Json:
    collection = collection_of(request)
    info = await collection.read(lambda shard: shard.info())
    return {
        "status": collection.status,
        "optimizer_status": "ok",
        "points_count": info.points_count,
        "indexed_vectors_count": info.indexed_vectors_count,
        "segments_count": info.segments_count,
        "config": described(collection.config),
        "payload_schema": payload_indexes.described(info.payload_schema),
    }


async def exists(request: Request) -> Json:
    return {"exists": store_of(request).has(name_of(request))}


async def delete(request: Request) -> bool:
    return await store_of(request).delete(name_of(request))


async def change(request: Request) -> bool:
    """Other settings of the engine take effect with a new build, in the background."""
    collection, body = collection_of(request), await body_of(request)
    with decoding():
        config = changed(collection.config, body)
        edge_config(config)
    await _keep_config(request, collection, config)
    if body.keys() - {"metadata"}:
        indexer_of(request).start_build(collection)
    return True


async def add_vector(request: Request) -> Json:
    collection, name = collection_of(request), request.path_params["vector"]
    if name in collection.vectors.by_name:
        raise Refusal(409, f"Wrong input: vector `{name}` already exists")
    body = await body_of(request)
    with decoding():
        operation = create_vector(name, body)
    await collection.write([Update(operation)])
    await _keep_config(request, collection, _with_vector(collection.config, name, body))
    return DONE


async def drop_vector(request: Request) -> Json:
    collection, name = collection_of(request), request.path_params["vector"]
    if len(collection.vectors.by_name) < 2:
        raise wrong("the only vector of a collection cannot be deleted")
    collection.vectors[name]
    await collection.write([Update(UpdateOperation.delete_vector_name(name))])
    dense = {one: of for one, of in dense_params(collection.config).items() if one != name}
    sparse = {
        one: of
        for one, of in (collection.config.get("sparse_vectors") or {}).items()
        if one != name
    }
    config = collection.config | {"vectors": single_or_named(dense), "sparse_vectors": sparse}
    await _keep_config(request, collection, config)
    return DONE


async def create_index(request: Request) -> Json:
    body = await body_of(request)
    with decoding():
        operation = payload_indexes.create_index(body)
    await collection_of(request).write([Update(operation)])
    return DONE


async def delete_index(request: Request) -> Json:
    operation = payload_indexes.delete_index(request.path_params["field"])
    await collection_of(request).write([Update(operation)])
    return DONE


async def optimize(request: Request) -> Json:
    """Ours alone: build the index now, and with `wait=true` answer when it is in use."""
    collection = collection_of(request)
    if request.query_params.get("wait") == "true":
        await indexer_of(request).build(collection)
        return DONE
    indexer_of(request).start_build(collection)
    return {"operation_id": 0, "status": "acknowledged"}


async def list_aliases(request: Request) -> Json:
    return {"aliases": _aliases(store_of(request).aliases)}


async def collection_aliases(request: Request) -> Json:
    name = collection_of(request).name
    aliases = store_of(request).aliases
    return {"aliases": _aliases({alias: to for alias, to in aliases.items() if to == name})}


async def change_aliases(request: Request) -> bool:
    body = await body_of(request)
    with decoding():
        actions = list(body["actions"])
    await store_of(request).alias(actions)
    return True


def _aliases(aliases: dict[str, str]) -> list[Json]:
    return [{"alias_name": alias, "collection_name": name} for alias, name in aliases.items()]


async def _keep_config(request: Request, collection: Collection, config: Json) -> None:
    collection.configure(config)
    await store_of(request).keep(collection)


def _with_vector(config: Json, name: str, body: Json) -> Json:
    if "dense" in body:
        return config | {"vectors": dense_params(config) | {name: body["dense"]}}
    return config | {
        "sparse_vectors": (config.get("sparse_vectors") or {}) | {name: body["sparse"]}
    }


def _route(path: str, method: str, handler: Any) -> Route:
    return Route(path, endpoint(handler), methods=[method])


ROUTES = [
    _route("/collections", "GET", list_collections),
    _route("/aliases", "GET", list_aliases),
    _route("/collections/aliases", "POST", change_aliases),
    _route("/collections/{collection}", "PUT", create),
    _route("/collections/{collection}", "GET", describe),
    _route("/collections/{collection}", "DELETE", delete),
    _route("/collections/{collection}", "PATCH", change),
    _route("/collections/{collection}/exists", "GET", exists),
    _route("/collections/{collection}/aliases", "GET", collection_aliases),
    _route("/collections/{collection}/index", "PUT", create_index),
    _route("/collections/{collection}/index/{field}", "DELETE", delete_index),
    _route("/collections/{collection}/optimize", "POST", optimize),
    _route("/collections/{collection}/vectors/{vector}", "PUT", add_vector),
    _route("/collections/{collection}/vectors/{vector}", "DELETE", drop_vector),
]
