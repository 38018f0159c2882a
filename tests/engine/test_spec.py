from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.spec import Extraction, Progress, RowFailure
from models.errors import ErrorCategory
from tests.extractors import Constant, Nothing

ROWS = pa.RecordBatch.from_pydict({"text": ["a", "b", "c"]})
CATEGORY = ErrorCategory.VALIDATION


class Broken(Constant):
    """Answers whatever it is given."""

    answer: Extraction

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        return self.answer


def ran(answer: Extraction) -> Extraction:
    extractor = Broken(Nothing(), cache=Path())
    extractor.answer = answer
    return extractor.run(ROWS, lambda _: None)


def documents(rows: list[int]) -> pa.Table:
    made = Constant(Nothing(), cache=Path())
    return made.documents([(row, "word") for row in rows]).documents


def test_documents_in_order_pass() -> None:
    answer = Extraction(documents([0, 0, 2]), [RowFailure(1, CATEGORY, "no")])

    assert ran(answer) is answer


@pytest.mark.parametrize("rows", [[1, 0], [-1, 0], [0, 3]])
def test_refuses_rows_out_of_order_or_range(rows: list[int]) -> None:
    with pytest.raises(ValueError, match="constant@v1: documents are not in the order"):
        ran(Extraction(documents(rows)))


def test_refuses_documents_of_a_failed_row() -> None:
    with pytest.raises(ValueError, match="a failed row has documents"):
        ran(Extraction(documents([0, 1]), [RowFailure(1, CATEGORY, "no")]))


@pytest.mark.parametrize("row", [-1, 3])
def test_refuses_a_failure_of_no_row(row: int) -> None:
    with pytest.raises(ValueError, match="a failure names row"):
        ran(Extraction(documents([0]), [RowFailure(row, CATEGORY, "no")]))


def test_refuses_columns_that_the_spec_does_not_name() -> None:
    with pytest.raises(ValueError, match="constant@v1: expected"):
        ran(Extraction(documents([0]).drop_columns(["word"])))


def test_refuses_vectors_of_another_dimension() -> None:
    table = documents([0])
    longer = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(5, np.float32)), 5)

    with pytest.raises(ValueError, match="constant@v1: expected"):
        ran(Extraction(table.set_column(2, "embedding", longer)))


def test_refuses_vectors_that_are_no_numbers() -> None:
    table = documents([0, 1])
    flat = pa.array(np.array([1, 1, 1, 1, 1, np.nan, 1, 1], np.float32))
    broken = table.set_column(2, "embedding", pa.FixedSizeListArray.from_arrays(flat, 4))

    with pytest.raises(ValueError, match="embedding holds a number that is not finite"):
        ran(Extraction(broken))


def test_refuses_documents_without_a_vector() -> None:
    table = documents([0, 1])
    vectors = pa.array([[1.0, 1.0, 1.0, 1.0], None], pa.list_(pa.float32(), 4))

    with pytest.raises(ValueError, match="embedding is missing"):
        ran(Extraction(table.set_column(2, "embedding", vectors)))


def test_no_documents_are_fine() -> None:
    assert ran(Extraction(documents([]))).documents.num_rows == 0


def test_an_extractor_without_vectors_has_no_query() -> None:
    with pytest.raises(NotImplementedError, match="constant@v1 has no vector"):
        Constant(Nothing(), cache=Path()).encode_query("anything", "embedding")
