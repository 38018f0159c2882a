"""Flattens a batch's objects into Parquet artifacts, one set for each extractor of the first tier.

A row group is a block: rows of one collection, as many as are agreed and fewer when they are large.
Members are streamed, row groups are written as they fill, a file is uploaded and forgotten when it
is large enough: memory stays constant for any number of objects.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from engine.catalog import extractor_spec
from engine.parquet import open_parquet
from engine.rows import Filtered, Flattener, Missing, Rows, object_row, rows_schema, rows_table
from engine.spec import ExtractorSpec
from models.artifacts import ArtifactStore, manifest_key, sha256_of
from models.batch import ArtifactInfo, Batch, Funnel
from models.batch_member import read_members
from models.block import Block, Slice
from models.collection import Collection
from models.ids import new_id
from models.object import Object
from models.scope import Scope
from models.states import BlockStatus

_PART_BYTES: Final = 32 * 1024 * 1024
_BLOCK_BYTES: Final = 16 * 1024 * 1024
_FEWEST_ROWS: Final = 32  # below it a block costs more than the work in it
_SHARES: Final = 4  # of what is left: a block has at most one
_LAST_SHARES: Final = 20  # of the whole: a block has at least one
_SAMPLED_MISSING: Final = 100  # rows named one by one, for each collection; all are counted


@dataclass
class CollectionFunnel:
    """What became of the objects that one collection was offered."""

    rows_in: int = 0
    filtered: int = 0
    missing: int = 0
    sample: list[Missing] = field(default_factory=list)

    def count(self, outcome: Missing | Filtered | None) -> None:
        """Take note of one row."""
        self.rows_in += 1
        if isinstance(outcome, Filtered):
            self.filtered += 1
        elif outcome is not None:
            self.missing += 1
            if len(self.sample) < _SAMPLED_MISSING:
                self.sample.append(outcome)

    @property
    def stored(self) -> Funnel:
        """The form that a batch keeps."""
        return Funnel(
            rows_in=self.rows_in, rows_filtered=self.filtered, rows_missing_input=self.missing
        )

    @property
    def submitted(self) -> int:
        """Rows that an extractor will see."""
        return self.rows_in - self.filtered - self.missing


@dataclass(frozen=True)
class Manifest:
    """What a submit attempt wrote, or a plan would write."""

    artifacts: list[ArtifactInfo]
    blocks: list[Block]
    funnels: dict[str, CollectionFunnel]


class _Set:
    """The artifact files of one extractor: at most one of them open."""

    def __init__(self, folder: Path, spec: ExtractorSpec) -> None:
        self.spec = spec
        self._folder = folder
        self._part = 0
        self._writer: pq.ParquetWriter | None = None
        self.groups: list[tuple[str, int]] = []  # collection and rows of each row group

    @property
    def path(self) -> Path:
        return self._folder / f"{self.spec.label}-{self._part}.parquet"

    @property
    def part(self) -> int:
        return self._part

    def append(self, collection_id: str, rows: Rows) -> bool:
        """Write one row group; True when the file is large enough to be closed."""
        table = rows_table(rows, self.spec)
        if self._writer is None:
            self._writer = open_parquet(self.path, rows_schema(self.spec))
        self._writer.write_table(table, row_group_size=max(len(rows), 1))
        self.groups.append((collection_id, len(rows)))
        return self.path.stat().st_size >= _PART_BYTES

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def next(self) -> None:
        self.path.unlink()
        self._part += 1
        self.groups = []


class ManifestWriter:
    """Writes the manifest of one submit attempt, or only counts when it has no store.

    A block has as many rows as its extractor asks for, but at most a share of what is left, so that
    several processes have work and end together, and little is left to be stored when they have
    (guided self-scheduling: Polychronopoulos and Kuck, 1987); `block_rows` is in place of all that.
    """

    def __init__(
        self,
        batch: Batch,
        submission: str,
        *,
        block_rows: int | None,
        objects: int = 0,
        store: ArtifactStore | None,
    ) -> None:
        self._batch = batch
        self._submission = submission
        self._block_rows = block_rows
        self._left = objects  # not yet read
        self._fewest = max(_FEWEST_ROWS, objects // _LAST_SHARES)
        self._store = store
        self._artifacts: list[ArtifactInfo] = []
        self._blocks: list[Block] = []

    async def write(self, collections: Sequence[Collection]) -> Manifest:
        """Flatten every member for each collection of the first tier."""
        specs = {c.id: extractor_spec(c.extractor.label) for c in collections}
        flatteners = {c.id: Flattener(c, specs[c.id]) for c in collections}
        funnels = {c.id: CollectionFunnel() for c in collections}
        buffers = {c.id: Rows() for c in collections}
        with tempfile.TemporaryDirectory(prefix="strata-") as folder:
            sets = {spec.label: _Set(Path(folder), spec) for spec in specs.values()}
            async for objects in self._read_objects():
                for item in objects:
                    self._left -= 1
                    row = object_row(item, with_history=self._batch.include_processing_history)
                    for collection_id, flattener in flatteners.items():
                        outcome = flattener.flatten(row, buffers[collection_id])
                        funnels[collection_id].count(outcome)
                        if self._is_full(buffers[collection_id], specs[collection_id]):
                            full, buffers[collection_id] = buffers[collection_id], Rows()
                            await self._append(
                                sets[specs[collection_id].label], collection_id, full
                            )
            for collection_id, rest in buffers.items():
                if len(rest):
                    await self._append(sets[specs[collection_id].label], collection_id, rest)
            for files in sets.values():
                await self._close(files)
        return Manifest(self._artifacts, self._blocks, funnels)

    def _is_full(self, rows: Rows, spec: ExtractorSpec) -> bool:
        if spec.needs_whole_tier:
            return False  # it sees all of its rows at once, whatever their number
        share = max(self._fewest, (self._left + len(rows)) // _SHARES)
        most = self._block_rows or min(spec.block_rows, share)
        return len(rows) >= most or rows.weight >= _BLOCK_BYTES

    async def _read_objects(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the members' objects as they are stored; the next ones are read meanwhile."""
        scope = Scope(self._batch.namespace_id)
        ahead: asyncio.Task[list[dict[str, Any]]] | None = None
        try:
            async for object_ids in read_members(self._batch.id):
                ready, ahead = ahead, asyncio.create_task(_read_in_order(scope, object_ids))
                if ready is not None:
                    yield await ready
            if ahead is not None:
                yield await ahead
        finally:
            if ahead is not None:
                ahead.cancel()

    async def _append(self, files: _Set, collection_id: str, rows: Rows) -> None:
        if self._store is None:
            self._add_block(collection_id, len(rows), None)
        elif await asyncio.to_thread(files.append, collection_id, rows):
            await self._close(files)

    async def _close(self, files: _Set) -> None:
        if self._store is None or not files.groups:
            return
        await asyncio.to_thread(files.close)
        sha256 = await asyncio.to_thread(sha256_of, files.path)
        key = manifest_key(
            self._batch.namespace_id,
            self._batch.id,
            self._submission,
            extractor=files.spec.label,
            part=files.part,
        )
        await self._store.create(key, files.path, sha256=sha256)
        self._artifacts.append(
            ArtifactInfo(
                extractor=files.spec.label,
                key=key,
                rows=sum(rows for _, rows in files.groups),
                bytes=files.path.stat().st_size,
                sha256=sha256,
            )
        )
        for group, (collection_id, rows) in enumerate(files.groups):
            self._add_block(collection_id, rows, Slice(key=key, sha256=sha256, row_group=group))
        await asyncio.to_thread(files.next)

    def _add_block(self, collection_id: str, rows: int, part: Slice | None) -> None:
        self._blocks.append(
            Block(
                id=new_id("blk"),
                namespace_id=self._batch.namespace_id,
                batch_id=self._batch.id,
                submission=self._submission,
                collection_id=collection_id,
                tier=0,
                ordinal=len(self._blocks),
                rows=rows,
                status=BlockStatus.READY,
                input=part,
            )
        )


async def _read_in_order(scope: Scope, object_ids: Sequence[str]) -> list[dict[str, Any]]:
    found = await scope.find_rows(Object, object_ids)
    return [found[object_id] for object_id in object_ids if object_id in found]


def plan_reading_blocks(
    batch: Batch, submission: str, tiers: Sequence[Sequence[Collection]], first: Sequence[Block]
) -> list[Block]:
    """Return the blocks of the later tiers: one for each upstream block, or one for all of them.

    A block waits for exactly the blocks that it reads, so tiers are no barriers.
    """
    by_collection: dict[str, list[str]] = {}
    for block in first:
        by_collection.setdefault(block.collection_id, []).append(block.id)
    planned: list[Block] = []
    for number, tier in enumerate(tiers[1:], start=1):
        for collection in tier:
            upstream = [
                block_id
                for source in collection.source.collection_ids
                for block_id in by_collection.get(source, [])
            ]
            whole = extractor_spec(collection.extractor.label).needs_whole_tier
            for reads in [upstream] if whole and upstream else [[one] for one in upstream]:
                block = Block(
                    id=new_id("blk"),
                    namespace_id=batch.namespace_id,
                    batch_id=batch.id,
                    submission=submission,
                    collection_id=collection.id,
                    tier=number,
                    ordinal=len(planned),
                    status=BlockStatus.WAITING,
                    reads=reads,
                    waits_for=reads,
                )
                planned.append(block)
                by_collection.setdefault(collection.id, []).append(block.id)
    return planned
