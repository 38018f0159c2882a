"""Writes: from the JSON of the REST API to the engine's update operations, nothing applied yet."""

from collections.abc import Callable
from typing import Any, NamedTuple

from qdrant_edge import Filter, Point, PointVectors, UpdateMode, UpdateOperation

from models.embedded.qdrant_front.filters import Json, PointId, filter_of, identities, identity
from models.embedded.qdrant_front.refusals import wrong
from models.embedded.qdrant_front.vectors import VectorSpecs

UPDATE_MODES = {
    "upsert": UpdateMode.Upsert,
    "insert_only": UpdateMode.InsertOnly,
    "update_only": UpdateMode.UpdateOnly,
}


class Update(NamedTuple):
    """One operation, and how many points it leaves for the next index build."""

    operation: UpdateOperation
    points: int = 0


def upsert(body: Json, vectors: VectorSpecs) -> Update:
    """`points` or `batch`; where `update_filter` fails the point stays, a new id is inserted."""
    rows = body["points"] if "points" in body else _rows(body["batch"])
    points = [
        Point(identity(row["id"]), vectors.of_point(row.get("vector")), row.get("payload"))
        for row in rows
    ]
    mode = body.get("update_mode")
    operation = UpdateOperation.upsert_points(
        points,
        condition=filter_of(body.get("update_filter")),
        update_mode=None if mode is None else UPDATE_MODES[mode],
    )
    return Update(operation, len(points))


def _rows(batch: Json) -> list[Json]:
    """The columns of a batch as the rows of a list."""
    ids, vectors = batch["ids"], batch["vectors"]
    payloads = batch.get("payloads") or [None] * len(ids)
    if isinstance(vectors, dict):
        named = [dict(zip(vectors, row, strict=True)) for row in _transposed(vectors, len(ids))]
    else:
        named = vectors
    return [
        {"id": one, "vector": vector, "payload": payload}
        for one, vector, payload in zip(ids, named, payloads, strict=True)
    ]


def _transposed(columns: dict[str, list[Any]], length: int) -> list[tuple[Any, ...]]:
    return list(zip(*columns.values(), strict=True)) if columns else [()] * length


def delete(body: Json, _: VectorSpecs) -> Update:
    ids, accepted = _selected(body)
    if accepted is not None:
        return Update(UpdateOperation.delete_points_by_filter(accepted), 1)
    return Update(UpdateOperation.delete_points(ids), len(ids))


def update_vectors(body: Json, vectors: VectorSpecs) -> Update:
    points = [
        PointVectors(identity(row["id"]), vectors.of_point(row["vector"])) for row in body["points"]
    ]
    accepted = filter_of(body.get("update_filter"))
    return Update(UpdateOperation.update_vectors(points, condition=accepted), len(points))


def delete_vectors(body: Json, vectors: VectorSpecs) -> Update:
    names = body.get("vector") or body["vectors"]
    for name in names:
        vectors[name]
    ids, accepted = _selected(body)
    if accepted is not None:
        return Update(UpdateOperation.delete_vectors_by_filter(accepted, names), 1)
    return Update(UpdateOperation.delete_vectors(ids, names), len(ids))


def set_payload(body: Json, _: VectorSpecs) -> Update:
    ids, accepted = _selected(body)
    payload, key = body["payload"], body.get("key")
    if accepted is not None:
        return Update(UpdateOperation.set_payload_by_filter(accepted, payload, key))
    return Update(UpdateOperation.set_payload(ids, payload, key))


def overwrite_payload(body: Json, _: VectorSpecs) -> Update:
    ids, accepted = _selected(body)
    payload, key = body["payload"], body.get("key")
    if accepted is not None:
        return Update(UpdateOperation.overwrite_payload_by_filter(accepted, payload, key))
    return Update(UpdateOperation.overwrite_payload(ids, payload, key))


def delete_payload(body: Json, _: VectorSpecs) -> Update:
    ids, accepted = _selected(body)
    if accepted is not None:
        return Update(UpdateOperation.delete_payload_by_filter(accepted, body["keys"]))
    return Update(UpdateOperation.delete_payload(ids, body["keys"]))


def clear_payload(body: Json, _: VectorSpecs) -> Update:
    ids, accepted = _selected(body)
    if accepted is not None:
        return Update(UpdateOperation.clear_payload_by_filter(accepted))
    return Update(UpdateOperation.clear_payload(ids))


def _selected(body: Json) -> tuple[list[PointId], Filter | None]:
    """The points a write is about: by id, or else by filter."""
    if body.get("points") is not None:
        return identities(body["points"]), None
    if body.get("filter") is not None:
        return [], filter_of(body["filter"])
    raise wrong("either `points` or `filter` must be given")


OPERATIONS: dict[str, Callable[[Json, VectorSpecs], Update]] = {
    "upsert": upsert,
    "delete": delete,
    "set_payload": set_payload,
    "overwrite_payload": overwrite_payload,
    "delete_payload": delete_payload,
    "clear_payload": clear_payload,
    "update_vectors": update_vectors,
    "delete_vectors": delete_vectors,
}


def batch(body: Json, vectors: VectorSpecs) -> list[Update]:
    """Several operations in one request, all of them read before the first is applied."""
    updates = []
    for entry in body["operations"]:
        [(name, value)] = entry.items()
        updates.append(OPERATIONS[name](value, vectors))
    return updates
