"""Extracts a block whose extractor reads or makes media: a few rows at a time, bytes held briefly.

Fetches the bytes that rows refer to, cuts the block where they would fill the memory, and puts what
the extractor made on S3, so that documents and artifacts hold addresses only.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from engine.blob_cache import Occasion
from engine.inputs import BlockRows, InputReader
from engine.output import Work
from engine.pools import Pool, ProgressClock
from engine.rows import INPUT
from engine.source_texts import Read, not_to_be_had
from engine.spec import BLOB, ROW, Extraction, ExtractorSpec, InputSpec, OutputSpec, RowFailure
from engine.together import together
from models.artifacts import media_key
from models.errors import AddressUnavailable, InvalidInput, NotFound
from models.fields import BlobRef
from models.stores import Stores

_SLICE_BYTES: Final = 32 * 1024 * 1024
_FETCHED_AHEAD: Final = 8  # rows
_UPLOADS: Final = 8


@dataclass
class _Slice:
    """Some rows of a block with their bytes."""

    rows: list[int] = field(default_factory=list)
    blobs: dict[str, list[dict[str, Any] | None]] = field(default_factory=dict)
    bytes: int = 0

    def append(self, row: int, found: dict[str, dict[str, Any] | None]) -> None:
        self.rows.append(row)
        for name, blob in found.items():
            self.blobs.setdefault(name, []).append(blob)
            self.bytes += 0 if blob is None else len(blob["data"])


async def extract_media(
    stores: Stores,
    reader: InputReader,
    pool: Pool,
    work: Work,
    rows: BlockRows,
    *,
    index: npt.NDArray[np.int64],
    run: str,
    progress: ProgressClock,
) -> Extraction:
    """Extract some rows of a block slice by slice; a row whose bytes cannot be had fails alone.

    Raises:
        StoreUnavailable: S3 does not answer.
        ExtractorDied: the extractor's process ended.
    """
    read = reader.blobs.reader(Occasion(work.batch.namespace_id, run))
    limit = stores.settings.engine.max_blob_bytes
    failures: list[RowFailure] = []
    tables: list[pa.Table] = []
    async for part in _slices(
        rows, index.tolist(), work.spec, read, limit, failures, progress.tick
    ):
        found = await pool.extract(_input(rows.table, work.spec, part), progress)
        progress.restart()
        table = await _store_media(stores, work, found.documents, progress.tick)
        tables.append(_renumbered(table, part.rows))
        failures += [replace(one, row=part.rows[one.row]) for one in found.failures]
    return Extraction(pa.concat_tables(tables), failures)


async def _slices(
    rows: BlockRows,
    numbers: list[int],
    spec: ExtractorSpec,
    read: Read,
    limit: int,
    failures: list[RowFailure],
    progress: Callable[[], None],
) -> AsyncIterator[_Slice]:
    """Yield runs of rows with their bytes, at least one; note those that cannot be had."""
    wanted = [item for item in spec.inputs if item.kind == "blob"]
    columns = {item.name: rows.table.column(INPUT + item.name).to_pylist() for item in wanted}
    part = _Slice()
    for start in range(0, len(numbers), _FETCHED_AHEAD):
        group = numbers[start : start + _FETCHED_AHEAD]
        found = await together(
            _row(row, {item: columns[item.name][row] for item in wanted}, read, limit)
            for row in group
        )
        progress()
        for row, blobs in zip(group, found, strict=True):
            if isinstance(blobs, RowFailure):
                failures.append(blobs)
                continue
            part.append(row, blobs)
            if part.bytes >= _SLICE_BYTES:
                yield part
                part = _Slice()
    if part.rows or not numbers or len(failures) == len(numbers):
        yield part


async def _row(
    row: int, refs: dict[InputSpec, str | None], read: Read, limit: int
) -> dict[str, dict[str, Any] | None] | RowFailure:
    found: dict[str, dict[str, Any] | None] = {}
    for item, body in refs.items():
        try:
            found[item.name] = None if body is None else await _blob(body, read, limit)
        except (InvalidInput, NotFound, AddressUnavailable) as error:
            return not_to_be_had(row, item, error)
    return found


async def _blob(body: str, read: Read, limit: int) -> dict[str, Any]:
    ref = BlobRef.model_validate_json(body)
    data = (ref.text or "").encode() if ref.url is None else await read(ref.url, limit)
    return {"data": data, "media_type": ref.media_type, "url": ref.url}


def _input(table: pa.Table, spec: ExtractorSpec, part: _Slice) -> pa.RecordBatch:
    index = pa.array(part.rows, pa.int64())
    columns = {
        item.name: pa.array(part.blobs.get(item.name, []), BLOB)
        if item.kind == "blob"
        else table.column(INPUT + item.name).take(index).combine_chunks()
        for item in spec.inputs
    }
    return pa.RecordBatch.from_pydict(columns)


async def _store_media(
    stores: Stores, work: Work, documents: pa.Table, progress: Callable[[], None]
) -> pa.Table:
    """Put the bytes of a table on S3 and return it with their addresses in their place."""
    gate = asyncio.Semaphore(_UPLOADS)

    async def put(output: OutputSpec, data: bytes | None) -> str | None:
        if data is None:
            return None
        async with gate:
            reference = await _put(stores, work, data, output.media_type or "")
            progress()
            return reference

    for output in work.spec.outputs:
        if output.media_type is not None:
            column = documents.column(output.name).to_pylist()
            references = await together(put(output, data) for data in column)
            place = documents.schema.get_field_index(output.name)
            made = pa.array(references, pa.large_string())
            documents = documents.set_column(place, output.name, made)
    return documents


async def _put(stores: Stores, work: Work, data: bytes, media_type: str) -> str:
    sha256 = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
    key = media_key(work.batch.namespace_id, work.batch.id, work.block.submission, sha256=sha256)
    url = await stores.artifacts.create_media(key, data, sha256=sha256, media_type=media_type)
    reference = BlobRef(url=url, media_type=media_type, size_bytes=len(data))
    return reference.model_dump_json(by_alias=True, exclude_none=True)


def _renumbered(documents: pa.Table, rows: list[int]) -> pa.Table:
    """Let the documents of a slice name the rows of the block."""
    numbers = pa.array(rows, pa.int32()).take(documents.column(ROW).combine_chunks())
    return documents.set_column(documents.schema.get_field_index(ROW), ROW, numbers)
