"""Vectors in Arrow: the type of a column by the kind of its vector, its checks, and its making.

DENSE    fixed_size_list<float>[dimension]
SPARSE   struct<indices: list<uint32>, values: list<float>>; a term at most once
MULTI    list<fixed_size_list<float>[dimension]>; at least one vector a document
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.fields import VectorField, VectorKind
from models.points import (
    DenseRows,
    Floats,
    MultiRows,
    Offsets,
    SparseRows,
    SparseVector,
    VectorRows,
)

_SPARSE: Final = pa.struct(
    [pa.field("indices", pa.list_(pa.uint32())), pa.field("values", pa.list_(pa.float32()))]
)


def column_type(vector: VectorField) -> pa.DataType:
    """Return the Arrow type of a vector's column."""
    if vector.kind is VectorKind.SPARSE:
        return _SPARSE
    one = pa.list_(pa.float32(), vector.dimension)
    return one if vector.kind is VectorKind.DENSE else pa.list_(one)


def dense_column(vectors: Floats) -> pa.Array:
    """Return vectors of shape (documents, dimension) as a column."""
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def sparse_column(vectors: Sequence[SparseVector]) -> pa.Array:
    """Return one sparse vector a document as a column."""
    offsets = _offsets([len(one.indices) for one in vectors])
    indices = _joined([one.indices for one in vectors], np.dtype(np.uint32))
    values = _joined([one.values for one in vectors], np.dtype(np.float32))
    lists = [pa.ListArray.from_arrays(offsets, pa.array(part)) for part in (indices, values)]
    return pa.StructArray.from_arrays(lists, fields=list(_SPARSE))


def multi_column(vectors: Sequence[Floats], dimension: int) -> pa.Array:
    """Return some vectors a document, each of shape (tokens, dimension), as a column."""
    rows = [one.reshape(-1) for one in vectors]
    flat = pa.array(_joined(rows, np.dtype(np.float32)), pa.float32())
    offsets = _offsets([len(one) for one in vectors])
    return pa.ListArray.from_arrays(offsets, pa.FixedSizeListArray.from_arrays(flat, dimension))


def read_column(vector: VectorField, column: pa.ChunkedArray) -> VectorRows:
    """Return a column's numbers as they are, without a copy where Arrow allows it."""
    array = column.combine_chunks()
    if vector.kind is VectorKind.DENSE:
        return DenseRows(_numbers(array.flatten()).reshape(-1, vector.dimension))
    if vector.kind is VectorKind.MULTI:
        values = _numbers(array.flatten().flatten()).reshape(-1, vector.dimension)
        return MultiRows(_bounds(array), values)
    indices, values = array.field("indices"), array.field("values")
    return SparseRows(_bounds(indices), _numbers(indices.flatten()), _numbers(values.flatten()))


def require_vectors(label: str, vector: VectorField, column: pa.ChunkedArray) -> None:
    """Refuse what Qdrant could not hold or no search could compare with.

    Raises:
        ValueError: a vector is missing, empty, ragged, or holds something that is no number.
    """
    if _has_nulls(column.combine_chunks()):
        raise ValueError(f"{label}: {vector.name} is missing")
    rows = read_column(vector, column)
    if not np.isfinite(rows.values).all():
        raise ValueError(f"{label}: {vector.name} holds a number that is not finite")
    if isinstance(rows, MultiRows) and len(rows) and np.diff(rows.offsets).min() < 1:
        raise ValueError(f"{label}: {vector.name} has a document without a vector")
    if isinstance(rows, SparseRows):
        _require_terms(f"{label}: {vector.name}", rows, column)


def _require_terms(name: str, rows: SparseRows, column: pa.ChunkedArray) -> None:
    if not np.array_equal(_bounds(column.combine_chunks().field("values")), rows.offsets):
        raise ValueError(f"{name} has not as many values as indices")
    owners = np.repeat(np.arange(len(rows)), np.diff(rows.offsets)).astype(np.uint64)
    terms = (owners << np.uint64(32)) | rows.indices
    if len(np.unique(terms)) < len(terms):
        raise ValueError(f"{name} has a term twice in one document")


def _has_nulls(array: pa.Array) -> bool:
    if array.null_count:
        return True
    if pa.types.is_struct(array.type):
        return any(_has_nulls(array.field(place)) for place in range(array.type.num_fields))
    return pa.types.is_nested(array.type) and _has_nulls(array.flatten())


def _offsets(lengths: Sequence[int]) -> pa.Array:
    return pa.array(np.cumsum([0, *lengths]), pa.int32())


def _joined(parts: Sequence[npt.NDArray[Any]], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype, copy=False)


def _numbers(array: pa.Array) -> npt.NDArray[Any]:
    numbers: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return numbers


def _bounds(array: pa.ListArray) -> Offsets:
    """Return where each document's part begins in the flattened values; a slice begins at 0."""
    offsets: Offsets = array.offsets.to_numpy().astype(np.int64)
    bounds: Offsets = offsets - offsets[0]
    return bounds
