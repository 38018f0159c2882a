"""Reads the rows of a block: from the manifest, or from the documents of the blocks that it reads.

Artifacts are checked against their committed sha256 before they are parsed; the last few are kept,
since neighbouring blocks are row groups of one file.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from weakref import WeakValueDictionary

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.blob_cache import BlobCache, Occasion
from engine.rows import Filtered, Flattener, Missing, Rows, SourceRow, rows_table
from engine.source_texts import fetch_texts
from engine.spec import ExtractorSpec, RowFailure
from models.artifacts import ArtifactStore
from models.block import Block, Pointer
from models.collection import Collection
from models.egress import Egress
from models.errors import ArtifactCorrupt
from models.settings import BLOB_CACHE_BYTES

_KEPT_BYTES: Final = 128 * 1024 * 1024
INPUT_HASH: Final = "input_hash"  # of all that a document's row was computed from
NOT_FIELDS: Final = frozenset(
    {"document_id", "object_id", "source_id", "ordinal", "passthrough", "history", INPUT_HASH}
)


@dataclass(frozen=True)
class BlockRows:
    """The rows of a block: `table` as `engine.rows` lays them out, and what fell out before."""

    table: pa.Table
    failures: list[RowFailure]
    missing: list[Missing] = field(default_factory=list)
    filtered: list[Filtered] = field(default_factory=list)
    hashes: list[str | None] = field(default_factory=list)  # of the rows' inputs, once known
    reused: frozenset[int] = frozenset()  # rows whose documents are taken over

    @property
    def rows_in(self) -> int:
        """Rows read, whatever became of them."""
        return int(self.table.num_rows) + len(self.missing) + len(self.filtered)


class InputReader:
    """Reads blocks' rows for one process."""

    def __init__(
        self,
        artifacts: ArtifactStore,
        egress: Egress | None = None,
        *,
        blob_cache_bytes: int = BLOB_CACHE_BYTES,
    ) -> None:
        self._artifacts = artifacts
        self.blobs = BlobCache(artifacts, egress, kept_bytes=blob_cache_bytes)
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read(
        self,
        block: Block,
        collection: Collection,
        spec: ExtractorSpec,
        *,
        progress: Callable[[], None],
        run: str = "",
    ) -> BlockRows:
        """Return a block's rows, texts at addresses fetched once for each `run`.

        Raises:
            ArtifactCorrupt: an artifact is gone or changed.
            StoreUnavailable: S3 or MongoDB does not answer.
        """
        if block.input is not None:
            body = await self._file(block.input.key, block.input.sha256)
            rows = BlockRows(await asyncio.to_thread(_row_group, body, block.input.row_group), [])
        else:
            files = await self._upstream_files(block, progress)
            rows = await asyncio.to_thread(_flatten, files, collection, spec)
        progress()
        if block.only:  # what else it reads was settled in the block that these were put off from
            table = rows.table
            chosen = pc.is_in(table.column("source_id"), pa.array(block.only))
            rows = BlockRows(table.filter(chosen), [])
        reader = self.blobs.reader(Occasion(block.namespace_id, run or block.batch_id))
        table, failures = await fetch_texts(reader, rows.table, spec, progress)
        return replace(rows, table=table, failures=failures)

    async def artifact(self, pointer: Pointer) -> pa.Table:
        """Return a committed output; raises ArtifactCorrupt."""
        body = await self._file(pointer.key, pointer.sha256)
        return await asyncio.to_thread(lambda: pq.read_table(pa.BufferReader(body)))

    async def _upstream_files(self, block: Block, progress: Callable[[], None]) -> list[bytes]:
        found = Block.get_pymongo_collection().find({"_id": {"$in": block.reads}})
        outputs = {row["_id"]: Block.model_validate(row).output async for row in found}
        files: list[bytes] = []
        for block_id in block.reads:
            pointer = outputs.get(block_id)
            if pointer is None:
                raise ArtifactCorrupt(f"Block {block_id}, which this one reads, has no output.")
            files.append(await self._file(pointer.key, pointer.sha256))
            progress()
        return files

    async def _file(self, key: str, sha256: str) -> bytes:
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:  # neighbours wait for one download, others do not
            if key not in self._files:
                self._keep(key, await self._artifacts.read(key, sha256=sha256))
            self._files.move_to_end(key)
            return self._files[key]

    def _keep(self, key: str, body: bytes) -> None:
        self._files[key] = body
        while len(self._files) > 1 and sum(map(len, self._files.values())) > _KEPT_BYTES:
            self._files.popitem(last=False)


def _row_group(body: bytes, group: int) -> pa.Table:
    return pq.ParquetFile(pa.BufferReader(body)).read_row_group(group)


def _flatten(files: list[bytes], collection: Collection, spec: ExtractorSpec) -> BlockRows:
    flattener, rows = Flattener(collection, spec), Rows()
    missing: list[Missing] = []
    filtered: list[Filtered] = []
    vectors = [one.vector for one in collection.input_mappings if one.vector is not None]
    for body in files:
        for row in _source_rows(body, vectors):
            outcome = flattener.flatten(row, rows)
            if isinstance(outcome, Missing):
                missing.append(outcome)
            elif isinstance(outcome, Filtered):
                filtered.append(outcome)
    return BlockRows(rows_table(rows, spec), [], missing, filtered)


def _source_rows(body: bytes, vectors: Sequence[str]) -> list[SourceRow]:
    """Return the rows of an output; of its vectors only those that are asked for."""
    table = pq.read_table(pa.BufferReader(body))
    json_fields = {f.name for f in table.schema if (f.metadata or {}).get(b"json") == b"1"}
    kept = [f.name for f in table.schema if b"vector" not in (f.metadata or {})]
    names = [name for name in kept if name not in NOT_FIELDS]
    numbers = {name: vector_rows(table.column(name)) for name in vectors}
    return [
        _source_row(
            row, names, json_fields, {name: found[place] for name, found in numbers.items()}
        )
        for place, row in enumerate(table.select(kept).to_pylist())
    ]


def _source_row(
    row: dict[str, Any], names: list[str], json_fields: set[str], vectors: Mapping[str, Any]
) -> SourceRow:
    fields = output_fields(row, names, json_fields)
    fields.update(orjson.loads(row["passthrough"]))
    fields["document_id"] = row["document_id"]
    history = None if row["history"] is None else orjson.loads(row["history"])
    return SourceRow(row["object_id"], row["document_id"], fields, history, vectors)


def vector_rows(column: pa.ChunkedArray) -> "np.ndarray[Any, Any]":
    """Return a column of vectors, none of which is null, as a matrix without a copy."""
    numbers: np.ndarray[Any, Any] = column.combine_chunks().flatten().to_numpy()
    return numbers.reshape(-1, column.type.list_size)


def output_fields(row: dict[str, Any], names: list[str], json_fields: set[str]) -> dict[str, Any]:
    """Return an extractor's outputs as a document's fields: JSON parsed, absent ones left out."""
    return {
        name: orjson.loads(row[name]) if name in json_fields else row[name]
        for name in names
        if row[name] is not None
    }
