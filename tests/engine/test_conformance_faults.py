"""The conformance kit finds what is wrong with an extractor, also from the command line."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from engine.catalog import extractor_class
from engine.conformance import CHECKS, Check, Subject
from engine.conformance.checks import (
    again_is_the_same,
    bad_rows_fail,
    company_does_not_matter,
    documents_fit_the_schema,
    nothing_makes_nothing,
    odd_rows_stay_alone,
    order_does_not_matter,
    queries_are_encoded,
    spec_is_complete,
)
from engine.conformance.subject import NoSamples
from engine.spec import Extraction, OutputSpec, Progress, RowFailure
from models.errors import ErrorCategory
from models.fields import FieldType
from tests.extractors import Constant


def _texts(rows: pa.RecordBatch) -> list[str]:
    found: list[str] = rows.column("text").to_pylist()
    return found


class Neighbourly(Constant):
    """Says how many rows came along."""

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        progress(1)
        return self.documents([(row, str(rows.num_rows)) for row in range(rows.num_rows)])


class Ordinal(Constant):
    """Says where each row stood."""

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        progress(1)
        return self.documents([(row, str(row)) for row in range(rows.num_rows)])


class Forgetful(Constant):
    """Says which process it was."""

    def setup(self) -> None:
        self.born = str(time.perf_counter_ns())

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        progress(1)
        return self.documents([(row, self.born) for row in range(rows.num_rows)])


class Silent(Constant):
    """Never tells how far it is."""

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        return super().extract(rows, lambda _: None)


class Hungry(Constant):
    """Cannot do without rows."""

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        assert _texts(rows)[0]
        return super().extract(rows, progress)


class Fragile(Constant):
    """A NUL is too much for it."""

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        if any("\0" in text for text in _texts(rows)):
            raise ValueError("embedded null byte")
        return super().extract(rows, progress)


class Curt(Constant):
    """Fails a row without a word on what to do."""

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        made = super().extract(rows, progress)
        empty = [row for row, text in enumerate(_texts(rows)) if not text]
        failures = [RowFailure(row, ErrorCategory.VALIDATION, "Empty.") for row in empty]
        return Extraction(made.documents, failures)


class Unlawful(Constant):
    """Its JSON is none."""

    spec: ClassVar = replace(
        Constant.spec,
        outputs=(OutputSpec("word", FieldType.OBJECT, pa.large_string(), "Bad.", json=True),),
    )


class Nameless(Constant):
    """Described by nothing."""

    spec: ClassVar = replace(Constant.spec, description="")


class Deaf(Constant):
    """Its queries have another length."""

    def encode_query(self, text: str, vector: str) -> np.ndarray[Any, Any]:
        return np.zeros(5, np.float32)


@pytest.mark.parametrize(
    ("kind", "check", "told"),
    [
        (Neighbourly, company_does_not_matter, "row 0, document 0, word: 3, but 1 alone"),
        (Ordinal, order_does_not_matter, "row 0, document 0, word: 0, but 2 in another order"),
        (Forgetful, again_is_the_same, "in another process"),
        (Silent, documents_fit_the_schema, "progress was never told"),
        (Unlawful, documents_fit_the_schema, "word is no JSON"),
        (Hungry, nothing_makes_nothing, "list index out of range"),
        (Fragile, odd_rows_stay_alone, "embedded null byte"),
        (Curt, odd_rows_stay_alone, "a failure says what to do"),
        (Constant, bad_rows_fail, "a bad row did not fail: .*takes it"),
        (Nameless, spec_is_complete, "have a description"),
        (Deaf, queries_are_encoded, r"embedding: shape \(5,\)"),
    ],
)
def test_a_fault_is_found_and_said(kind: type[Constant], check: Check, told: str) -> None:
    subject = Subject(kind, bad=[{"text": "takes it"}])

    with pytest.raises((AssertionError, IndexError, ValueError), match=told):
        check(subject)


def test_a_sound_extractor_has_no_fault() -> None:
    subject = Subject(Constant)

    for check in CHECKS:
        check(subject)


def test_a_row_of_another_extractor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"constant@v1 has no input image\."):
        Subject(Constant, good=[{"image": b""}])


def pytest_run(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest as an author of an extractor does."""
    command = [sys.executable, "-P", "-m", "pytest", "-p", "engine.pytest_plugin", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50)


@pytest.mark.long
def test_the_kit_is_run_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_other(): assert False")
    parameters = '{"vector_dimension": 3}'

    ran = pytest_run(
        tmp_path,
        *("--strata-extractor", "passthrough@v1", "--strata-extractor-parameters", parameters),
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(CHECKS)} passed" in ran.stdout


def test_what_reads_files_asks_for_some() -> None:
    with pytest.raises(NoSamples, match="image@v1 reads files; give some that it can read"):
        _ = Subject(extractor_class("image@v1")).good
