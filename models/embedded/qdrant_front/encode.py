"""Answers: from the engine's objects to the JSON of the REST API."""

from typing import Any

from qdrant_edge import Record, ScoredPoint, SparseVector

from models.embedded.qdrant_front.filters import Json


def record(found: Record) -> Json:
    body: Json = {"id": found.id, "payload": found.payload, "vector": _vector(found.vector)}
    if found.order_value is not None:
        body["order_value"] = found.order_value
    return body


def scored(found: ScoredPoint, *, with_vector: bool) -> Json:
    """One hit; MMR gives vectors that nobody asked for, so asking is what counts."""
    body: Json = {
        "id": found.id,
        "version": found.version,
        "score": found.score,
        "payload": found.payload,
        "vector": _vector(found.vector) if with_vector else None,
    }
    if found.order_value is not None:
        body["order_value"] = found.order_value
    return body


def _vector(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _vector(vector) for name, vector in value.items()}
    if isinstance(value, SparseVector):
        return {"indices": value.indices, "values": value.values}
    return value


def lower_name(member: Any) -> str:
    """`keyword` for PayloadSchemaType.Keyword: the engine's enums carry no name of their own."""
    return str(member).rpartition(".")[2].lower()
