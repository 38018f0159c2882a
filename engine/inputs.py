"""Reads the rows of a block: from the manifest, or from the documents of the blocks that it reads.

Artifacts are checked against their committed sha256 before they are parsed; the last few are kept,
since neighbouring blocks are row groups of one file.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakValueDictionary

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from engine.blob_cache import BlobCache, Occasion
from engine.rows import Flattener, Missing, Rows, SourceRow, rows_table
from engine.source_texts import fetch_texts
from engine.spec import ExtractorSpec, RowFailure
from models.artifacts import ArtifactStore
from models.block import Block
from models.collection import Collection
from models.errors import ArtifactCorrupt
from models.settings import BLOB_CACHE_BYTES

_KEPT_BYTES: Final = 128 * 1024 * 1024
NOT_FIELDS: Final = frozenset(
    {"document_id", "object_id", "source_id", "ordinal", "passthrough", "history"}
)


@dataclass(frozen=True)
class BlockRows:
    """The rows of a block: `table` as `engine.rows` lays them out, and what fell out before."""

    table: pa.Table
    failures: list[RowFailure]
    missing: list[Missing]

    @property
    def rows_in(self) -> int:
        """Rows read, whatever became of them."""
        return int(self.table.num_rows) + len(self.missing)


class InputReader:
    """Reads blocks' rows for one process."""

    def __init__(
        self, artifacts: ArtifactStore, *, blob_cache_bytes: int = BLOB_CACHE_BYTES
    ) -> None:
        self._artifacts = artifacts
        self.blobs = BlobCache(artifacts, kept_bytes=blob_cache_bytes)
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
            table = await asyncio.to_thread(_row_group, body, block.input.row_group)
            missing: list[Missing] = []
        else:
            files = await self._upstream_files(block, progress)
            table, missing = await asyncio.to_thread(_flatten, files, collection, spec)
        progress()
        occasion = Occasion(block.namespace_id, run or block.batch_id)
        return BlockRows(
            *await fetch_texts(self.blobs.reader(occasion), table, spec, progress), missing
        )

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


def _flatten(
    files: list[bytes], collection: Collection, spec: ExtractorSpec
) -> tuple[pa.Table, list[Missing]]:
    flattener, rows, missing = Flattener(collection, spec), Rows(), []
    for body in files:
        for row in _source_rows(body):
            outcome = flattener.flatten(row, rows)
            if outcome is not None:
                missing.append(outcome)
    return rows_table(rows, spec), missing


def _source_rows(body: bytes) -> list[SourceRow]:
    table = pq.read_table(pa.BufferReader(body))
    json_fields = {f.name for f in table.schema if (f.metadata or {}).get(b"json") == b"1"}
    vectors = [f.name for f in table.schema if b"vector" in (f.metadata or {})]
    names = [f.name for f in table.schema if f.name not in {*NOT_FIELDS, *vectors}]
    rows = table.drop_columns(vectors).to_pylist()
    return [_source_row(row, names, json_fields) for row in rows]


def _source_row(row: dict[str, Any], names: list[str], json_fields: set[str]) -> SourceRow:
    fields = output_fields(row, names, json_fields)
    fields.update(orjson.loads(row["passthrough"]))
    fields["document_id"] = row["document_id"]
    history = None if row["history"] is None else orjson.loads(row["history"])
    return SourceRow(row["object_id"], row["document_id"], fields, history)


def output_fields(row: dict[str, Any], names: list[str], json_fields: set[str]) -> dict[str, Any]:
    """Return an extractor's outputs as a document's fields: JSON parsed, absent ones left out."""
    return {
        name: orjson.loads(row[name]) if name in json_fields else row[name]
        for name in names
        if row[name] is not None
    }
