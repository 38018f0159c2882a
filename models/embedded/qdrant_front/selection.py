"""The small parts that reading requests share: selectors, limits, order, search parameters."""

from typing import Any

import qdrant_edge as edge

from models.embedded.qdrant_front.filters import Json, filter_of
from models.embedded.qdrant_front.refusals import wrong

DIRECTIONS = {None: None, "asc": edge.Direction.Asc, "desc": edge.Direction.Desc}


def payload_selector(value: Any, *, default: bool) -> Any:
    if value is None:
        return default
    if isinstance(value, dict):
        if value.get("include") is not None:
            return edge.PayloadSelector.Include(value["include"])
        return edge.PayloadSelector.Exclude(value["exclude"])
    return value


def vector_selector(value: Any) -> bool | list[str]:
    return False if value is None else value


def limit_of(value: Any, *, default: int) -> int:
    limit = default if value is None else value
    if type(limit) is not int or limit < 1:
        raise wrong(f"limit must be 1 or more, not {limit!r}")
    return limit


def order_by(value: Any) -> edge.OrderBy | None:
    if value is None:
        return None
    if isinstance(value, str):
        return edge.OrderBy(value)
    return edge.OrderBy(value["key"], DIRECTIONS[value.get("direction")], value.get("start_from"))


def search_params(body: Json | None) -> edge.SearchParams | None:
    if body is None:
        return None
    return edge.SearchParams(
        hnsw_ef=body.get("hnsw_ef"),
        exact=bool(body.get("exact")),
        quantization=_quantization(body.get("quantization")),
        indexed_only=bool(body.get("indexed_only")),
        acorn=_acorn(body.get("acorn")),
        idf=_idf(body.get("idf")),
    )


def _quantization(body: Json | None) -> edge.QuantizationSearchParams | None:
    if body is None:
        return None
    return edge.QuantizationSearchParams(
        bool(body.get("ignore")), body.get("rescore"), body.get("oversampling")
    )


def _acorn(body: Json | None) -> edge.AcornSearchParams | None:
    if body is None:
        return None
    return edge.AcornSearchParams(bool(body.get("enable")), body.get("max_selectivity"))


def _idf(value: Any) -> edge.IdfParams | None:
    """`global` is what the engine does unasked."""
    if value is None or value == "global":
        return None
    return edge.IdfParams(filter_of(value["corpus"]))
