"""A collection's config: what a request may set, what the engine gets, what GET answers."""

from typing import Any

import qdrant_edge as edge

from models.embedded.qdrant_front.filters import Json
from models.embedded.qdrant_front.refusals import wrong
from models.embedded.qdrant_front.vectors import UNNAMED, dense_params

# The engine wants at least one vector; a collection without any gets this one, which no request
# can reach because it is in no config.
PLACEHOLDER = "-none-"

# One thread keeps a core free for searches and writes while an index is built.
HNSW: Json = {
    "m": 16,
    "ef_construct": 100,
    "full_scan_threshold": 10_000,
    "max_indexing_threads": 1,
}
OPTIMIZERS: Json = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 1,
    "max_segment_size": None,
    "indexing_threshold": 10_000,
    "prevent_unoptimized": None,
}
DISTANCES = {
    "Cosine": edge.Distance.Cosine,
    "Euclid": edge.Distance.Euclid,
    "Dot": edge.Distance.Dot,
    "Manhattan": edge.Distance.Manhattan,
}
# Settings of a cluster: accepted so that one program creates its collections here and there.
IGNORED = {"shard_number", "replication_factor", "write_consistency_factor", "wal_config"}
KEPT = {
    "vectors",
    "sparse_vectors",
    "hnsw_config",
    "optimizers_config",
    "quantization_config",
    "on_disk_payload",
    "payload",
    "id_tracker",
    "metadata",
}


def config_of(body: Json) -> Json:
    """The part of a create request that is kept; what cannot be honoured is refused."""
    _refuse_unsupported(body, IGNORED | KEPT)
    return {name: value for name, value in body.items() if name in KEPT and value is not None}


def changed(config: Json, body: Json) -> Json:
    """The config after a PATCH: each part is laid over the one before."""
    _refuse_unsupported(body, KEPT | {"params"})
    params = {name: value for name, value in (body.get("params") or {}).items() if name in KEPT}
    merged = dict(config) | {name: value for name, value in params.items() if value is not None}
    for part in ("hnsw_config", "optimizers_config", "metadata"):
        if body.get(part):
            merged[part] = (config.get(part) or {}) | _given(body[part])
    if quantization := body.get("quantization_config"):
        merged |= _given({"quantization_config": quantization})
    for part in ("vectors", "sparse_vectors"):
        if body.get(part):
            merged[part] = _with_params(config, part, body[part])
    return merged


def edge_config(config: Json) -> edge.EdgeConfig:
    dense = {name: _dense(params) for name, params in dense_params(config).items()}
    sparse = {
        name: _sparse(params) for name, params in (config.get("sparse_vectors") or {}).items()
    }
    if not dense and not sparse:
        sparse = {PLACEHOLDER: edge.EdgeSparseVectorParams()}
    optimizers = OPTIMIZERS | _given(config.get("optimizers_config") or {})
    return edge.EdgeConfig(
        vectors=dense or None,
        sparse_vectors=sparse or None,
        on_disk_payload=config.get("on_disk_payload"),
        hnsw_config=_hnsw(config.get("hnsw_config") or {}),
        quantization_config=_quantization(config.get("quantization_config")),
        optimizers=edge.EdgeOptimizersConfig(**{name: optimizers[name] for name in OPTIMIZERS}),
    )


def described(config: Json) -> Json:
    """The config as GET answers it, which the client's model refuses unless it is whole."""
    return {
        "params": {
            "vectors": config.get("vectors") or {},
            "sparse_vectors": config.get("sparse_vectors"),
            "shard_number": 1,
            "replication_factor": 1,
            "write_consistency_factor": 1,
            "on_disk_payload": config.get("on_disk_payload", True),
        },
        "hnsw_config": HNSW | _given(config.get("hnsw_config") or {}),
        "optimizer_config": OPTIMIZERS
        | _given(config.get("optimizers_config") or {})
        | {"flush_interval_sec": 5},
        "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
        "quantization_config": config.get("quantization_config"),
        "strict_mode_config": None,
        "metadata": config.get("metadata"),
    }


def create_vector(name: str, body: Json) -> edge.UpdateOperation:
    """A vector added to a collection that exists."""
    if "dense" in body:
        params = body["dense"]
        return edge.UpdateOperation.create_dense_vector(
            name,
            params["size"],
            DISTANCES[params["distance"]],
            _multivector(params.get("multivector_config")),
            _datatype(params.get("datatype")),
        )
    params = body["sparse"]
    return edge.UpdateOperation.create_sparse_vector(
        name, _modifier(params.get("modifier")), _datatype(params.get("datatype"))
    )


def _refuse_unsupported(body: Json, known: set[str]) -> None:
    if (body.get("strict_mode_config") or {}).get("enabled"):
        raise wrong("strict mode is not supported by the embedded server")
    if body.get("sharding_method") not in (None, "auto"):
        raise wrong("custom sharding is not supported by the embedded server")
    harmless = known | {"strict_mode_config", "sharding_method"}
    if unknown := body.keys() - harmless:
        raise wrong(f"unknown settings of a collection: {sorted(unknown)}")


def _with_params(config: Json, part: str, diffs: Json) -> Json:
    """The vectors of a config with some of their parameters changed; none may be added here."""
    before = dense_params(config) if part == "vectors" else dict(config.get(part) or {})
    if unknown := diffs.keys() - before.keys():
        raise wrong(f"Not existing vector name error: {sorted(unknown)}")
    after = {name: params | _given(diffs.get(name) or {}) for name, params in before.items()}
    return single_or_named(after)


def _given(body: Json) -> Json:
    """What a body sets; `Disabled` sets a part back to nothing."""
    given = {name: value for name, value in body.items() if value is not None}
    return {name: None if value == "Disabled" else value for name, value in given.items()}


def single_or_named(dense: Json) -> Json:
    """An unnamed vector that is alone stands without its empty name."""
    alone: Json = dense[UNNAMED] if list(dense) == [UNNAMED] else dense
    return alone


def _dense(params: Json) -> edge.EdgeVectorParams:
    hnsw = params.get("hnsw_config")
    return edge.EdgeVectorParams(
        size=params["size"],
        distance=DISTANCES[params["distance"]],
        on_disk=params.get("on_disk"),
        multivector_config=_multivector(params.get("multivector_config")),
        datatype=_datatype(params.get("datatype")),
        quantization_config=_quantization(params.get("quantization_config")),
        hnsw_config=_hnsw(hnsw) if hnsw else None,
    )


def _sparse(params: Json | None) -> edge.EdgeSparseVectorParams:
    index = (params or {}).get("index") or {}
    return edge.EdgeSparseVectorParams(
        full_scan_threshold=index.get("full_scan_threshold"),
        on_disk=index.get("on_disk"),
        modifier=_modifier((params or {}).get("modifier")),
        datatype=_datatype(index.get("datatype")),
    )


def _hnsw(params: Json) -> edge.HnswIndexConfig:
    return edge.HnswIndexConfig(**(HNSW | _given(params) | {"max_indexing_threads": 1}))


def _multivector(params: Json | None) -> edge.MultiVectorConfig | None:
    if params is None:
        return None
    return edge.MultiVectorConfig(
        {"max_sim": edge.MultiVectorComparator.MaxSim}[params["comparator"]]
    )


def _modifier(name: str | None) -> edge.Modifier | None:
    return {None: None, "none": None, "idf": edge.Modifier.Idf}[name]


def _datatype(name: str | None) -> edge.VectorStorageDatatype | None:
    kinds = edge.VectorStorageDatatype
    return {
        None: None,
        "float32": kinds.Float32,
        "float16": kinds.Float16,
        "uint8": kinds.Uint8,
    }[name]


def _quantization(body: Json | None) -> Any:
    """One of the engine's kinds of quantization, with the settings it shares with the server."""
    if not body:
        return None
    [(kind, settings)] = body.items()
    always_ram = settings.get("always_ram")
    if kind == "scalar":
        quantile = settings.get("quantile")
        return edge.ScalarQuantizationConfig(edge.ScalarType.Int8, quantile, always_ram)
    if kind == "product":
        ratio = getattr(edge.CompressionRatio, settings["compression"].upper())
        return edge.ProductQuantizationConfig(ratio, always_ram)
    if kind == "binary" and not settings.keys() - {"always_ram"}:
        return edge.BinaryQuantizationConfig(always_ram)
    raise wrong(f"this quantization is not supported by the embedded server: {kind}")
