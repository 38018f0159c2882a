import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.vector_columns import (
    column_type,
    dense_column,
    multi_column,
    read_column,
    require_vectors,
    sparse_column,
)
from models.fields import VectorField, VectorKind
from models.points import DenseRows, MultiRows, SparseRows, SparseVector

DENSE = VectorField(name="dense", dimension=3)
SPARSE = VectorField(name="sparse", dimension=0, kind=VectorKind.SPARSE)
MULTI = VectorField(name="multi", dimension=2, kind=VectorKind.MULTI)
TERMS = [{7: 0.5, 2: 1.5}, {}, {4_294_967_295: 2.0}]
TOKENS = [[[1, 2], [3, 4], [5, 6]], [[7, 8]], [[9, 10], [11, 12]]]


def terms(*documents: dict[int, float]) -> pa.Array:
    return sparse_column(
        [
            SparseVector(np.array([*one], np.uint32), np.array([*one.values()], np.float32))
            for one in documents
        ]
    )


def tokens(*documents: list[list[int]]) -> pa.Array:
    return multi_column([np.array(one, np.float32).reshape(-1, 2) for one in documents], 2)


def columns() -> dict[VectorField, pa.Array]:
    return {
        DENSE: dense_column(np.arange(9, dtype=np.float32).reshape(3, 3)),
        SPARSE: terms(*TERMS),
        MULTI: tokens(*TOKENS),
    }


def test_the_columns_have_the_types_of_their_kinds() -> None:
    for vector, column in columns().items():
        assert column.type == column_type(vector)
        require_vectors("any@v1", vector, pa.chunked_array([column]))


@pytest.mark.parametrize("rows", [slice(0, 3), slice(1, 3), slice(2, 2)])
def test_what_went_through_parquet_and_was_cut_reads_the_same(rows: slice) -> None:
    table = pa.table({vector.name: column for vector, column in columns().items()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=2)
    found = pq.read_table(pa.BufferReader(sink.getvalue()))[rows.start : rows.stop]

    dense, sparse, multi = (
        read_column(vector, found.column(vector.name)) for vector in (DENSE, SPARSE, MULTI)
    )

    count = rows.stop - rows.start
    assert (len(dense), len(sparse), len(multi)) == (count, count, count)
    assert isinstance(dense, DenseRows)
    assert isinstance(sparse, SparseRows)
    assert isinstance(multi, MultiRows)
    assert dense.values.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]][rows]
    pairs = [
        dict(zip(one["indices"].tolist(), one["values"].tolist(), strict=True))
        for one in sparse.wire(0, count)
    ]
    assert pairs == TERMS[rows]
    assert [one.tolist() for one in multi.wire(0, count)] == TOKENS[rows]


def test_the_sizes_are_the_numbers_that_are_sent() -> None:
    made = columns()

    sizes = [read_column(one, pa.chunked_array([made[one]])).sizes().tolist() for one in made]

    assert sizes == [[3, 3, 3], [4, 0, 2], [6, 2, 4]]


BROKEN = {
    "a missing sparse vector": (SPARSE, pa.array([None], column_type(SPARSE)), "is missing"),
    "a missing index": (
        SPARSE, pa.array([{"indices": [None], "values": [1.0]}], column_type(SPARSE)), "is missing",
    ),
    "a missing multi vector": (MULTI, pa.array([None], column_type(MULTI)), "is missing"),
    "a missing token": (MULTI, pa.array([[[1, 1], None]], column_type(MULTI)), "is missing"),
    "a missing number": (DENSE, pa.array([[1, None, 1]], column_type(DENSE)), "is missing"),
    "an infinite weight": (SPARSE, terms({1: float("inf")}), "not finite"),
    "an infinite token": (
        MULTI, pa.array([[[1, float("inf")]]], column_type(MULTI)), "not finite",
    ),
    "no token at all": (MULTI, tokens([[1, 2]], []), "without a vector"),
    "a term twice": (
        SPARSE, pa.array([{"indices": [5, 5], "values": [1, 2]}], column_type(SPARSE)),
        "a term twice",
    ),
    "an index without its weight": (
        SPARSE, pa.array([{"indices": [5, 6], "values": [1]}], column_type(SPARSE)),
        "not as many values",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_refuses_what_no_search_could_compare_with(name: str) -> None:
    vector, column, message = BROKEN[name]

    with pytest.raises(ValueError, match=f"any@v1: {vector.name} .*{message}"):
        require_vectors("any@v1", vector, pa.chunked_array([column]))


def test_the_same_term_in_two_documents_is_fine() -> None:
    require_vectors("any@v1", SPARSE, pa.chunked_array([terms({5: 1.0}, {5: 2.0})]))
