"""Builds what a block writes: documents, Parquet table, row errors and counts. Touches no store."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import bson
import numpy as np
import orjson
import pyarrow as pa

from engine.catalog import extractor_spec
from engine.inputs import INPUT_HASH, BlockRows, output_fields
from engine.sightings import sightings
from engine.spec import ROW, Extraction, ExtractorSpec, RowFailure
from models.batch import Batch
from models.block import Block, BlockCounts, Failure
from models.collection import Collection
from models.errors import ErrorCategory
from models.ids import document_id, new_id
from models.observed import ObservedType, Sighting
from models.row_error import RowError
from models.stored import now

_DOCUMENT_BYTES: Final = 15 * 1024 * 1024  # MongoDB refuses 16 MiB


@dataclass(frozen=True)
class Work:
    """A claimed block with what it belongs to."""

    batch: Batch
    block: Block
    collection: Collection
    stages: dict[str, float] = field(default_factory=dict)  # seconds so far, by stage

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block of code to a stage."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            yield
        finally:
            spent = loop.time() - began
            self.stages[stage] = self.stages.get(stage, 0.0) + spent

    @property
    def label(self) -> str:
        """Of the collection's extractor; known also where the extractor is not there any more."""
        return self.collection.extractor.label

    @property
    def spec(self) -> ExtractorSpec:
        """The spec of the collection's extractor.

        Raises:
            UnknownExtractor, ExtractorUnavailable: it is a plug-in, and was taken away.
        """
        return extractor_spec(self.label)


@dataclass(frozen=True)
class Output:
    """Everything that one attempt at a block would commit."""

    ids: list[str]
    documents: list[dict[str, Any]]
    errors: list[RowError]
    table: pa.Table
    counts: BlockCounts
    settled_sources: list[str]  # of all rows but the failed: these yield `documents`, no others
    put_off: list[str]  # sources of the rows that are to be tried again
    failure: Failure | None  # what most of the failed rows failed of
    sightings: frozenset[Sighting]  # fields and vectors of `documents`


@dataclass(frozen=True)
class PutOff:
    """Rows that are to be tried again after a delay, by what they failed of for now."""

    failures: tuple[RowFailure, ...] = ()
    delay: float = 0.0

    @property
    def rows(self) -> frozenset[int]:
        """Which rows."""
        return frozenset(failure.row for failure in self.failures)


def put_off_transient(failures: Sequence[RowFailure], *, at_least: float) -> PutOff:
    """Return the rows of which the extractor says that another try may succeed."""
    waiting = [failure for failure in failures if failure.transient]
    if not waiting:
        return PutOff()
    delay = max(at_least, *(failure.retry_after for failure in waiting))
    return PutOff(tuple(waiting), delay)


def build_output(work: Work, rows: BlockRows, extraction: Extraction, put_off: PutOff) -> Output:
    """Turn an extraction into what is stored, but for the rows that are put off."""
    table = extraction.documents
    index = table.column(ROW).to_numpy()
    ordinals = _ordinals(index)
    parents = rows.table.select(["object_id", "source_id", "passthrough", "history"]).to_pylist()
    ids = [
        document_id(
            namespace_id=work.batch.namespace_id,
            collection_id=work.collection.id,
            source_id=parents[row]["source_id"],
            extractor=work.label,
            ordinal=int(ordinal),
        )
        for row, ordinal in zip(index.tolist(), ordinals.tolist(), strict=True)
    ]
    histories = [_history(work, parent["history"]) for parent in parents]
    documents = _documents(work, table, ids, ordinals.tolist(), parents, histories)
    if oversized := _oversized(rows, table, index, documents):
        return build_output(work, rows, _without(extraction, oversized), put_off)
    found = {one.row: one for one in (*extraction.failures, *rows.failures)}
    failures = {row: one for row, one in found.items() if row not in put_off.rows}
    return Output(
        ids,
        documents,
        _errors(work, rows, failures, parents),
        _output_table(work, rows, table, ids, ordinals, parents, histories),
        _counts(rows, failures, index, put_off),
        [parent["source_id"] for row, parent in enumerate(parents) if row not in found]
        + [one.source_id for one in rows.filtered],
        [parents[row]["source_id"] for row in sorted(put_off.rows)],
        _main_failure(work, failures.values()),
        sightings(document["fields"] for document in documents) | _vectors_in(work, table),
    )


def _vectors_in(work: Work, table: pa.Table) -> frozenset[Sighting]:
    return frozenset(
        (vector.name, ObservedType.VECTOR)
        for vector in work.collection.vectors
        if table.column(vector.name).null_count < table.num_rows
    )


def _main_failure(work: Work, failures: Iterable[RowFailure]) -> Failure | None:
    """Return the cause that most of the failed rows share."""
    by_cause: dict[tuple[str, str, str], list[Failure]] = {}
    for one in failures:
        failure = Failure(
            extractor=work.label, category=one.category, message=one.message, hint=one.hint,
            rows=1,
        )  # fmt: skip
        by_cause.setdefault(failure.cause, []).append(failure)
    if not by_cause:
        return None
    most = max(by_cause.values(), key=len)
    return most[0].model_copy(update={"rows": len(most)})


def _oversized(
    rows: BlockRows,
    table: pa.Table,
    index: "np.ndarray[Any, Any]",
    documents: list[dict[str, Any]],
) -> set[int]:
    """Return the rows of which a document is larger than MongoDB takes."""
    if rows.table.nbytes + table.nbytes < _DOCUMENT_BYTES:
        return set()
    return {
        row
        for row, document in zip(index.tolist(), documents, strict=True)
        if len(bson.encode(document)) > _DOCUMENT_BYTES
    }


def _without(extraction: Extraction, oversized: set[int]) -> Extraction:
    index = extraction.documents.column(ROW).to_pylist()
    keep = pa.array([row not in oversized for row in index], pa.bool_())
    message = f"It makes a document of more than {_DOCUMENT_BYTES} bytes."
    hint = "Split it into smaller pieces, or pass less through."
    failures = [
        RowFailure(row, ErrorCategory.RESOURCE, message, hint=hint) for row in sorted(oversized)
    ]
    return Extraction(extraction.documents.filter(keep), [*extraction.failures, *failures])


def _ordinals(index: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Number the documents of each row from 0; `index` is sorted."""
    if not len(index):
        return index
    starts = np.flatnonzero(np.diff(index, prepend=index[0] - 1))
    lengths = np.diff(np.append(starts, len(index)))
    return np.arange(len(index)) - np.repeat(starts, lengths)


def _counts(
    rows: BlockRows,
    failures: Mapping[int, RowFailure],
    index: "np.ndarray[Any, Any]",
    put_off: PutOff,
) -> BlockCounts:
    succeeded = len(np.unique(index))
    later = len(put_off.rows)  # counted when their own block is committed
    return BlockCounts(
        rows_in=rows.rows_in - later,
        rows_filtered=len(rows.filtered),
        rows_missing_input=len(rows.missing),
        rows_failed=len(failures),
        rows_skipped=rows.table.num_rows - len(failures) - succeeded - later,
        rows_succeeded=succeeded,
        rows_reused=len(rows.reused),
        documents_written=len(index),
    )


def _history(work: Work, earlier: str | None) -> list[dict[str, Any]] | None:
    if earlier is None:
        return None
    started = work.block.started_at or now()
    entry = {
        "extractor": work.label,
        "parametersHash": work.collection.extractor.parameters_hash,
        "collectionId": work.collection.id,
        "blockId": work.block.id,
        "startedAt": started.isoformat(timespec="milliseconds"),
        "durationMs": int((now() - started).total_seconds() * 1000),
        "outcome": "SUCCEEDED",
    }
    return [*orjson.loads(earlier), entry]


def _documents(
    work: Work,
    table: pa.Table,
    ids: list[str],
    ordinals: list[int],
    parents: list[dict[str, Any]],
    histories: list[list[dict[str, Any]] | None],
) -> list[dict[str, Any]]:
    names = [output.name for output in work.spec.outputs]
    json_fields = {output.name for output in work.spec.outputs if output.stored_as_json}
    moment = now()
    common = {
        "namespace_id": work.batch.namespace_id,
        "collection_id": work.collection.id,
        "batch_id": work.batch.id,
        "block_id": work.block.id,
        "epoch": work.block.epoch,
        "created_at": moment,
        "updated_at": moment,
    }
    passthrough = [orjson.loads(parent["passthrough"]) for parent in parents]
    return [
        {
            "_id": ids[place],
            **common,
            "object_id": parents[row[ROW]]["object_id"],
            "source_id": parents[row[ROW]]["source_id"],
            "ordinal": ordinals[place],
            "fields": {**passthrough[row[ROW]], **output_fields(row, names, json_fields)},
            "processing_history": histories[row[ROW]] or [],
        }
        for place, row in enumerate(table.select([ROW, *names]).to_pylist())
    ]


def _output_table(
    work: Work,
    rows: BlockRows,
    table: pa.Table,
    ids: list[str],
    ordinals: "np.ndarray[Any, Any]",
    parents: list[dict[str, Any]],
    histories: list[list[dict[str, Any]] | None],
) -> pa.Table:
    index = table.column(ROW).to_pylist()
    texts = [None if one is None else orjson.dumps(one).decode() for one in histories]
    hashes = rows.hashes or [None] * len(parents)
    columns: dict[str, Any] = {
        "document_id": pa.array(ids, pa.string()),
        "object_id": pa.array([parents[row]["object_id"] for row in index], pa.string()),
        "source_id": pa.array([parents[row]["source_id"] for row in index], pa.string()),
        "ordinal": pa.array(ordinals, pa.int32()),
        "passthrough": pa.array([parents[row]["passthrough"] for row in index], pa.large_string()),
        "history": pa.array([texts[row] for row in index], pa.large_string()),
        INPUT_HASH: pa.array([hashes[row] for row in index], pa.string()),
    }
    fields = [pa.field(name, column.type) for name, column in columns.items()]
    marks = {output.name: {"json": "1"} for output in work.spec.outputs if output.stored_as_json}
    marks |= {one.name: {"vector": one.kind.value} for one in work.collection.vectors}
    for name in table.column_names:
        if name != ROW:
            columns[name] = table.column(name)
            kind = table.schema.field(name).type
            fields.append(pa.field(name, kind, metadata=marks.get(name)))
    return pa.table(columns, schema=pa.schema(fields))


def _errors(
    work: Work,
    rows: BlockRows,
    failures: Mapping[int, RowFailure],
    parents: list[dict[str, Any]],
) -> list[RowError]:
    pattern = RowError(
        id="",
        namespace_id=work.batch.namespace_id,
        batch_id=work.batch.id,
        collection_id=work.collection.id,
        block_id=work.block.id,
        category=ErrorCategory.VALIDATION,
        extractor=work.label,
        message="",
        attempts=work.block.attempts_in_all,
    )
    failed = [
        pattern.model_copy(
            update={
                "id": new_id("err"),
                "object_id": parents[row]["object_id"],
                "source_id": parents[row]["source_id"],
                "category": failure.category,
                "message": failure.message,
                "hint": failure.hint,
                "transient": failure.transient,
            }
        )
        for row, failure in sorted(failures.items())
    ]
    missing = [
        pattern.model_copy(
            update={
                "id": new_id("err"),
                "object_id": one.object_id,
                "source_id": one.source_id,
                "message": one.message,
                "hint": "Map the input to a field that every document has.",
                "missing_input": True,
            }
        )
        for one in rows.missing
    ]
    return failed + missing
