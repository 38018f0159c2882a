"""Takes over what a row yielded before, when it would be computed from the same again.

The same: extractor and version, parameters, every input of the row, and for media the bytes behind
the address. An output carries the hash of that for each row, so what is taken over is read from the
committed artifact and written anew: the block is as complete as one that was computed. Nothing is
trusted but committed documents and artifacts whose sha256 holds; a row in doubt is computed.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.extraction import stored_schema
from engine.inputs import INPUT_HASH, BlockRows, InputReader
from engine.output import Work
from engine.rows import INPUT
from engine.source_texts import Read
from engine.spec import ROW, Extraction
from engine.together import together
from models.block import Block, Pointer
from models.document import Document
from models.errors import ArtifactCorrupt, InvalidInput, NotFound
from models.fields import BlobRef
from models.states import BlockStatus

logger = logging.getLogger(__name__)
_HASH_BYTES: Final = 16
_FETCHED: Final = 4  # blobs hashed at once


@dataclass(frozen=True)
class Reused:
    """The rows that need not be computed, and what they yield."""

    rows: frozenset[int] = frozenset()
    extraction: Extraction | None = None


async def hash_inputs(work: Work, rows: BlockRows, read: Read, *, limit: int) -> BlockRows:
    """Return the rows with the hash of what each is computed from; None where it is unknown."""
    blobs = await _hash_blobs(work, rows, read, limit)
    hashes = await asyncio.to_thread(_hash_rows, work, rows, blobs)
    for failure in rows.failures:
        hashes[failure.row] = None
    return replace(rows, hashes=hashes)


async def find_reusable(work: Work, rows: BlockRows, reader: InputReader) -> Reused:
    """Return what the rows yielded before, from the same inputs."""
    if not (work.batch.reuse and work.collection.document_count and rows.table.num_rows):
        return Reused()  # the count is of the batch's start: what it writes itself is not reused
    sources: list[str] = rows.table.column("source_id").to_pylist()
    places = {source: row for row, source in enumerate(sources) if rows.hashes[row] is not None}
    by_block = await _committed(work, list(places))
    parts: list[pa.Table] = []
    for block_id, pointer in (await _outputs(by_block)).items():
        mine = {source: places[source] for source in by_block[block_id]}
        try:
            table = await reader.artifact(pointer)
        except ArtifactCorrupt as error:
            logger.warning("Nothing is reused of block %s: %s", block_id, error.message)
            continue
        parts += _matching(work, table, mine, rows.hashes)
    if not parts:
        return Reused()
    documents = pa.concat_tables(parts).sort_by([(ROW, "ascending"), ("ordinal", "ascending")])
    taken = frozenset(documents.column(ROW).to_pylist())
    return Reused(taken, Extraction(documents.drop_columns(["ordinal"])))


async def _committed(work: Work, sources: Sequence[str]) -> dict[str, list[str]]:
    """Return by block the sources whose documents all come from it."""
    cursor = Document.get_pymongo_collection().find(
        {"collection_id": work.collection.id, "source_id": {"$in": list(sources)}},
        {"_id": 0, "source_id": 1, "block_id": 1},
    )
    blocks: dict[str, set[str]] = {}
    async for row in cursor:
        blocks.setdefault(row["source_id"], set()).add(row["block_id"])
    by_block: dict[str, list[str]] = {}
    for source, found in blocks.items():
        if len(found) == 1:
            by_block.setdefault(found.pop(), []).append(source)
    return by_block


async def _outputs(block_ids: Iterable[str]) -> dict[str, Pointer]:
    cursor = Block.get_pymongo_collection().find(
        {"_id": {"$in": list(block_ids)}, "status": str(BlockStatus.DONE)}, {"output": 1}
    )
    return {
        row["_id"]: Pointer.model_validate(row["output"]) async for row in cursor if row["output"]
    }


def _matching(
    work: Work, table: pa.Table, places: Mapping[str, int], hashes: Sequence[str | None]
) -> list[pa.Table]:
    """Return the documents of an artifact whose rows have the same hash, numbered as our rows."""
    schema = stored_schema(work).append(pa.field("ordinal", pa.int32()))
    if INPUT_HASH not in table.column_names or not set(schema.names[1:]) <= set(table.column_names):
        return []
    pairs = zip(
        table.column("source_id").to_pylist(), table.column(INPUT_HASH).to_pylist(), strict=True
    )
    rows = [
        places[source] if source in places and hashes[places[source]] == said else None
        for source, said in pairs
    ]
    numbers = pa.array(rows, pa.int32())
    columns = {ROW: numbers, **{name: table.column(name) for name in schema.names[1:]}}
    if any(columns[one.name].type != one.type for one in schema):
        return []
    found = pa.table(columns, schema=schema).filter(pc.is_valid(numbers))
    return [found] if found.num_rows else []


def _hash_rows(
    work: Work, rows: BlockRows, blobs: Mapping[tuple[str, int], str | None]
) -> list[str | None]:
    choice = work.collection.extractor
    start = hashlib.sha256(_framed(choice.label, choice.parameters_hash))
    columns = [(item, rows.table.column(INPUT + item.name)) for item in work.spec.inputs]
    digests = [start.copy() for _ in range(rows.table.num_rows)]
    known = [True] * rows.table.num_rows
    for item, column in columns:
        for row, value in enumerate(column.to_pylist()):
            if item.kind == "blob" and value is not None:
                value = blobs[item.name, row]
                known[row] = known[row] and value is not None
            digests[row].update(_framed(item.name, value))
    return [
        digest.hexdigest()[: 2 * _HASH_BYTES] if ok else None
        for digest, ok in zip(digests, known, strict=True)
    ]


def _framed(*values: Any) -> bytes:
    """Return values so that no two lists of them read the same; a missing one is no empty one."""
    return b"".join(
        b"-;" if value is None else b"%d;%b" % (len(body := _bytes(value)), body)
        for value in values
    )


def _bytes(value: str | list[float]) -> bytes:
    return value.encode() if isinstance(value, str) else np.asarray(value, np.float32).tobytes()


async def _hash_blobs(
    work: Work, rows: BlockRows, read: Read, limit: int
) -> dict[tuple[str, int], str | None]:
    """Return the hash of every blob by input and row; None of those that cannot be had."""
    gate = asyncio.Semaphore(_FETCHED)
    wanted = [
        (item.name, row, body)
        for item in work.spec.inputs
        if item.kind == "blob"
        for row, body in enumerate(rows.table.column(INPUT + item.name).to_pylist())
        if body is not None
    ]

    async def hashed(body: str) -> str | None:
        async with gate:
            return await _hash_blob(body, read, limit)

    found = await together(hashed(body) for _, _, body in wanted)
    return {(name, row): one for (name, row, _), one in zip(wanted, found, strict=True)}


async def _hash_blob(body: str, read: Read, limit: int) -> str | None:
    ref = BlobRef.model_validate_json(body)
    try:
        data = (ref.text or "").encode() if ref.url is None else await read(ref.url, limit)
    except (InvalidInput, NotFound):
        return None  # the extraction says what is wrong with it
    digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
    return f"{ref.media_type}:{digest}"
