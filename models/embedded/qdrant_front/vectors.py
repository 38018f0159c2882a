"""Which vectors a collection holds, and the shape check every vector passes before the engine.

The engine finds a wrong length in the middle of a batch and keeps the points before it, and a
ragged multivector makes it panic; so shapes are checked here first, for the whole batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from qdrant_edge import SparseVector

from models.embedded.qdrant_front.refusals import wrong

UNNAMED = ""
Kind = Literal["dense", "multi", "sparse"]


@dataclass(frozen=True, slots=True)
class VectorSpec:
    """One vector of a collection; sparse ones have no size."""

    kind: Kind
    size: int = 0


@dataclass(slots=True)
class VectorSpecs:
    """The vectors of one collection by name; the unnamed one is called ""."""

    by_name: dict[str, VectorSpec] = field(default_factory=dict)

    def __getitem__(self, name: str) -> VectorSpec:
        try:
            return self.by_name[name]
        except KeyError:
            raise wrong(f"Not existing vector name error: {name}") from None

    def of_point(self, value: Any) -> Any:
        """The engine's form of a point's `vector`: one unnamed, several by name, or none."""
        if value is None:
            return {}
        if isinstance(value, dict):
            return {name: self.of_name(name, vector) for name, vector in value.items()}
        return self.of_name(UNNAMED, value)

    def of_name(self, name: str, value: Any) -> Any:
        """The engine's form of one vector, once its shape fits; element types it checks itself."""
        spec = self[name]
        if spec.kind == "sparse":
            return sparse(value)
        if spec.kind == "multi":
            return _multi(value, spec.size)
        return _dense(value, spec.size)


def specs_of(config: Mapping[str, Any]) -> VectorSpecs:
    """Read the `vectors` and `sparse_vectors` of a collection's config."""
    specs = VectorSpecs()
    for name, params in dense_params(config).items():
        kind: Kind = "multi" if params.get("multivector_config") else "dense"
        if type(params["size"]) is not int or params["size"] < 1:
            raise wrong(f"a vector's size must be 1 or more, not {params['size']!r}")
        specs.by_name[name] = VectorSpec(kind, params["size"])
    for name in config.get("sparse_vectors") or {}:
        specs.by_name[name] = VectorSpec("sparse")
    return specs


def dense_params(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The dense vectors by name, whether the config has one unnamed or several named ones."""
    vectors = config.get("vectors") or {}
    return {UNNAMED: vectors} if "size" in vectors and "distance" in vectors else dict(vectors)


def sparse(value: Any) -> SparseVector:
    refuse_inference(value)
    indices, values = value["indices"], value["values"]
    if len(indices) != len(values):
        raise wrong("a sparse vector needs as many values as indices")
    if len(set(indices)) != len(indices):
        raise wrong("the indices of a sparse vector must be unique")
    return SparseVector(indices, values)


def refuse_inference(value: Any) -> None:
    """Documents and images would need nets behind the server; none are here."""
    if isinstance(value, dict) and "indices" not in value:
        raise wrong("inference on the server is not supported: send vectors")


def _dense(value: Any, size: int) -> list[float]:
    refuse_inference(value)
    if not isinstance(value, list):
        raise wrong("a dense vector is a list of numbers")
    if len(value) != size:
        raise wrong(f"Vector dimension error: expected dim: {size}, got {len(value)}")
    return value


def _multi(value: Any, size: int) -> list[list[float]]:
    refuse_inference(value)
    if not isinstance(value, list) or not value:
        raise wrong("a multivector is a list of at least one vector")
    rows = value if isinstance(value[0], list) else [value]
    return [_dense(row, size) for row in rows]
