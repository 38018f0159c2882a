"""Keeps the blocks of one batch flowing: claim, read, extract, commit, several at a time.

Knows extractors only as pools. Everything that it remembers may be lost: what counts is in MongoDB,
and a lease that is not renewed by progress runs out.
"""

import asyncio
import logging
import random
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from pymongo.errors import PyMongoError

from engine.blob_cache import Occasion
from engine.block_media import extract_media
from engine.extraction import AllRowsFail, BlockExtraction, Index, RowsFailed, extract_rows
from engine.inputs import BlockRows, InputReader
from engine.output import Output, PutOff, Work, put_off_transient
from engine.pools import Pools, ProgressClock
from engine.reuse import find_reusable, hash_inputs
from engine.slots import Slots
from engine.spec import Extraction
from engine.writer import commit_block, fail_block, release, store_block
from models import metrics
from models.batch import Batch, renew_batch
from models.block import Block, claim_block, read_exhausted, renew_block
from models.collection import Collection
from models.database import Session
from models.ending import end_tasks
from models.errors import (
    ErrorCategory,
    ExtractorHung,
    Permanent,
    StaleBlock,
    StrataError,
    Transient,
)
from models.failpoints import Failpoint, reach
from models.holding import put_down
from models.logs import bound
from models.quotas import count_in_work, pass_gate
from models.stores import Stores
from models.traces import span_below, span_within

logger = logging.getLogger(__name__)
_IDLE_SECONDS: Final = 0.5
_BACKOFF_SECONDS: Final = 1.0
_BACKOFF_CAP: Final = 300.0
_RENEWALS: Final = 4  # looks at the progress of a block in the length of its lease
_PASSING: Final = frozenset(
    {
        ErrorCategory.DEPENDENCY,
        ErrorCategory.NETWORK,
        ErrorCategory.RATE_LIMIT,
        ErrorCategory.TIMEOUT,
    }
)
T = TypeVar("T")


class NoRowReady(Exception):
    """Every row of a block is to be tried again later."""

    def __init__(self, put_off: PutOff) -> None:
        self.message = put_off.failures[0].message
        self.category = put_off.failures[0].category
        self.delay = put_off.delay
        super().__init__(self.message)


class BatchRun:
    """One epoch of one batch in this process."""

    def __init__(
        self, stores: Stores, batch: Batch, collections: dict[str, Collection], *, pools: Pools,
        reader: InputReader, owner: str, slots: Slots | None = None,
    ) -> None:  # fmt: skip
        self._stores = stores
        self._settings = stores.settings.engine
        self._batch = batch
        self._collections = collections
        self._pools = pools
        self._reader = reader
        self._owner = owner
        self._run_id = f"{batch.id}-{batch.epoch}"  # what was fetched is kept as long
        self._running: set[asyncio.Task[None]] = set()
        self._slots = slots or Slots(
            self._settings.conductor_blocks, stores.settings.quotas.blocks_in_flight
        )
        self._place: asyncio.Future[None] | None = None  # asked for, or ours and not yet in use
        self._committing = asyncio.Lock()
        self._renewed = float("-inf")
        self._priority = batch.priority

    async def run(self) -> None:
        """Work until every block is terminal or the batch is another's; safe to cancel."""
        try:
            while await self._turn():
                await self._wait()
        finally:
            await end_tasks(*self._running)
            self._leave_place()

    async def _turn(self) -> bool:
        """Claim what can be claimed; False when there is nothing left for us to do."""
        try:
            await reach(Failpoint.RUN_GOES_ON)
            if not await self._hold():
                return False
            if await self._fill() or self._running:
                return True
            await self._fail_exhausted()
            return not (await self._nothing_left() or await self._put_down())
        except PyMongoError as error:
            logger.warning("Batch %s: MongoDB: %s", self._batch.id, type(error).__name__)
            return True

    async def _hold(self) -> bool:
        """Renew the batch's lease when it is time to; False when another epoch has the batch.

        The loop that claims renews, so a run that is stuck holds nothing; blocks have leases of
        their own.
        """
        lease = self._settings.lease_seconds
        moment = asyncio.get_running_loop().time()
        if moment - self._renewed < lease / _RENEWALS:
            return True
        self._renewed = moment
        held = await renew_batch(self._batch.id, self._batch.epoch, lease_seconds=lease)
        if held is not None and held.priority != self._priority:
            self._priority = held.priority
            self._leave_place()  # it was asked for under the earlier priority
        return held is not None

    async def _fill(self) -> bool:
        claimed = False
        while len(self._running) < self._settings.blocks_in_flight and self._has_place():
            block = await self._claim()
            if block is None:
                self._leave_place()
                break
            claimed = True
            task = asyncio.create_task(self._do(self._work(block)), name=block.id)
            self._place = None  # the task's from here on
            metrics.BLOCKS_RUNNING.inc()
            self._running.add(task)
            task.add_done_callback(self._ended)
        return claimed

    async def _claim(self) -> Block | None:
        claim = partial(
            claim_block,
            self._batch.id,
            self._batch.submission or "",
            owner=self._owner,
            lease_seconds=self._settings.lease_seconds,
            max_attempts=self._settings.max_attempts,
        )
        most = self._stores.settings.quotas.blocks_in_flight
        if most is None:
            return await claim()

        async def within_quota(session: Session) -> Block | None:
            await pass_gate(session, self._batch.namespace_id, "blocks")
            if await count_in_work(session, self._batch.namespace_id) >= most:
                return None
            return await claim(session=session)

        return await self._stores.database.transaction(within_quota)

    def _has_place(self) -> bool:
        """Tell whether another block may be claimed; ask for a slot if there is none."""
        if self._place is None:
            self._place = self._slots.ask(self._batch.namespace_id, self._priority)
        return self._place.done()

    def _leave_place(self) -> None:
        if self._place is not None:
            self._slots.withdraw(self._batch.namespace_id, self._place)
            self._place = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        metrics.BLOCKS_RUNNING.dec()
        self._slots.give_back(self._batch.namespace_id)

    def _work(self, block: Block) -> Work:
        return Work(self._batch, block, self._collections[block.collection_id])

    async def _wait(self) -> None:
        awaited: set[asyncio.Future[None]] = {*self._running}
        if self._place is not None:
            awaited.add(self._place)
        if awaited:
            await asyncio.wait(awaited, timeout=_IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(_IDLE_SECONDS)

    async def _nothing_left(self) -> bool:
        row = await Batch.get_pymongo_collection().find_one(
            {"_id": self._batch.id}, {"blocks_open": 1}
        )
        if row is not None and row["blocks_open"] > 0:
            return False
        await self._stores.bus.ring_workers(self._batch.id)
        return True

    async def _put_down(self) -> bool:
        """Leave a batch on hold alone: who resumes it hands it over again."""
        return await put_down(self._batch.id, self._batch.epoch)

    async def _fail_exhausted(self) -> None:
        blocks = read_exhausted(
            self._batch.id,
            self._batch.submission or "",
            max_attempts=self._settings.max_attempts,
        )
        async for block in blocks:
            message = f"The process that ran the block ended {block.attempts} times."
            await self._fail(self._work(block), ErrorCategory.RESOURCE, message)

    async def _do(self, work: Work) -> None:
        """Do one attempt of a block; its outcome is written down, or the lease runs out."""
        with (
            bound(batch_id=work.batch.id, block_id=work.block.id),
            span_below("block", work.batch.trace, block_id=work.block.id, extractor=work.label),
        ):
            try:
                await self._settle(work)
            except (StrataError, PyMongoError) as error:
                logger.warning("Block %s: outcome not written: %s", work.block.id, error)

    async def _settle(self, work: Work) -> None:
        try:
            await self._attempt(work)
        except StaleBlock as stale:
            metrics.BLOCKS.labels(work.label, "stale").inc()
            logger.info("%s", stale)
        except RowsFailed as error:
            await self._retry(work, error.message, error.category)
        except AllRowsFail as error:
            await self._fail(work, error.fault.category, error.fault.message)
        except NoRowReady as waits:
            metrics.BLOCKS.labels(work.label, "put_off").inc()
            await release(
                self._stores, work,
                error=waits.message, category=waits.category, delay=waits.delay,
            )  # fmt: skip
        except Transient as error:
            await self._retry(work, error.message, ErrorCategory.DEPENDENCY)
        except Permanent as error:
            await self._fail(work, ErrorCategory.DEPENDENCY, error.message, hint=error.hint)
        except PyMongoError as error:
            message = f"MongoDB failed: {type(error).__name__}."
            await self._retry(work, message, ErrorCategory.DEPENDENCY)
        except Exception as error:
            logger.exception("Block %s failed", work.block.id)
            message = f"{type(error).__name__}: {error}"[:500]
            await self._retry(work, message, ErrorCategory.RUNTIME)

    async def _attempt(self, work: Work) -> None:
        await reach(Failpoint.BLOCK_CLAIMED)
        clock = ProgressClock()
        with work.timed("read"), span_within("block.read"):
            rows = await self._under_lease(
                work,
                clock,
                self._reader.read(
                    work.block, work.collection, work.spec, progress=clock.tick, run=self._run_id
                ),
            )
            rows, reused = await self._under_lease(work, clock, self._reuse(work, rows))
        with work.timed("extract"), span_within("block.extract"):
            call = partial(self._call, work, rows)
            extraction = await BlockExtraction(work, rows, call=call, reused=reused).run()
        await reach(Failpoint.BLOCK_EXTRACTED)
        put_off = self._put_off(work, extraction)
        if put_off.failures and len(put_off.rows) == rows.table.num_rows:
            raise NoRowReady(put_off)
        with work.timed("store"), span_within("block.store"):
            stored = await self._under_lease(
                work,
                clock,
                store_block(self._stores, work, rows, extraction, put_off, progress=clock.tick),
            )
        async with self._committing:  # every commit changes the batch's own document
            with work.timed("commit"), span_within("block.commit"):
                await commit_block(self._stores, work, stored)
        _count_committed(work, stored.output)

    async def _reuse(self, work: Work, rows: BlockRows) -> tuple[BlockRows, Extraction | None]:
        if work.spec.costs_little or work.spec.needs_whole_tier:
            return rows, None
        read = self._reader.blobs.reader(Occasion(work.batch.namespace_id, self._run_id))
        hashed = await hash_inputs(work, rows, read, limit=self._settings.max_blob_bytes)
        reused = await find_reusable(work, hashed, self._reader)
        return replace(hashed, reused=reused.rows), reused.extraction

    async def _call(self, work: Work, rows: BlockRows, index: Index) -> Extraction:
        clock = ProgressClock()
        pool = self._pools.pool(work.collection.extractor)
        if work.spec.handles_media:
            doing = extract_media(
                self._stores, self._reader, pool, work, rows,
                index=index, run=self._run_id, progress=clock,
            )  # fmt: skip
        else:
            doing = extract_rows(pool, work, rows, index, progress=clock)
        return await self._under_lease(work, clock, doing)

    async def _under_lease(
        self, work: Work, clock: ProgressClock, doing: Coroutine[Any, Any, T]
    ) -> T:
        """Do something for as long as the block is ours and the clock moves."""
        task = asyncio.create_task(doing)
        keeper = asyncio.create_task(self._keep(work, clock))
        try:
            await asyncio.wait({task, keeper}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await keeper  # raises why the lease is over
            return await task
        finally:
            await end_tasks(task, keeper)

    async def _keep(self, work: Work, clock: ProgressClock) -> None:
        """Renew a block's lease from its progress.

        Raises:
            StaleBlock: the block is another's.
            ExtractorHung: nothing moved; given up just before the lease runs out.
        """
        lease = self._settings.lease_seconds
        still = 0
        while still < _RENEWALS - 1:
            await asyncio.sleep(lease / _RENEWALS)
            await reach(Failpoint.RUN_GOES_ON)
            still = 0 if clock.moved() else still + 1
            if not still and not await renew_block(work.block, lease_seconds=lease):
                raise StaleBlock(f"Block {work.block.id} was claimed by another.")
        raise ExtractorHung(
            f"No progress for {lease * still / _RENEWALS:.0f} s in "
            f"{work.collection.extractor.label}; the attempt was ended."
        )

    def _put_off(self, work: Work, extraction: Extraction) -> PutOff:
        """Return the rows that deserve another try; it is left to them alone when it is due."""
        tried = work.block.tries + work.block.attempts
        if tried >= self._settings.max_attempts or work.spec.needs_whole_tier:
            return PutOff()
        return put_off_transient(extraction.failures, at_least=self._delay(work))

    def _delay(self, work: Work) -> float:
        tried = work.block.tries + work.block.attempts
        return random.uniform(0.1, min(_BACKOFF_CAP, _BACKOFF_SECONDS * 2**tried))

    async def _retry(self, work: Work, message: str, category: ErrorCategory) -> None:
        if work.block.attempts >= self._settings.max_attempts:
            return await self._fail(work, category, message, transient=category in _PASSING)
        metrics.BLOCKS.labels(work.label, "retried").inc()
        delay = self._delay(work)
        await release(self._stores, work, error=message, category=category, delay=delay)
        return None

    async def _fail(
        self,
        work: Work,
        category: ErrorCategory,
        message: str,
        *,
        hint: str = "",
        transient: bool = False,
    ) -> None:
        metrics.BLOCKS.labels(work.label, "failed").inc()
        hint = hint or "Mend the cause, then submit the objects in a new batch."
        await fail_block(
            self._stores, work, category=category, error=message, hint=hint, transient=transient
        )


def _count_committed(work: Work, output: Output) -> None:
    metrics.BLOCKS.labels(work.label, "committed").inc()
    for outcome in ("succeeded", "failed", "skipped"):
        metrics.ROWS.labels(work.label, outcome).inc(getattr(output.counts, f"rows_{outcome}"))
    metrics.DOCUMENTS.labels(work.label).inc(output.counts.documents_written)
    for stage, seconds in work.stages.items():
        metrics.STAGE_SECONDS.labels(work.label, stage).observe(seconds)
