"""Watches the list of batches: a first page, then what enters, changes or leaves a filter.

Entries are states, not differences, and one a batch: sending a batch again is harmless. The cursor
is a time; a resume repeats the last seconds before it, since transactions may become visible out of
their order. What was deleted while nobody watched left no trace and is not told.
"""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Final

import strawberry

from graphql_api.batches.frames import BatchChange, BatchListFrame, ChangeKind
from graphql_api.batches.inputs import BatchFilter
from graphql_api.batches.types import show_batch
from graphql_api.context import Context
from models.batch import Batch
from models.errors import InvalidCursor
from models.stored import now

_LOOK_SECONDS: Final = 5.0
_PACE_SECONDS: Final = 0.25
_OVERLAP: Final = timedelta(seconds=10)
_PAGE: Final = 50
_KNOWN: Final = 1000  # batches whose leaving is noticed: the latest that were sent


class BatchesWatcher:
    """One subscriber of a list of batches."""

    def __init__(self, context: Context, chosen: BatchFilter) -> None:
        self._context = context
        self._scope = context.scope
        self._filter = chosen
        self._seen: dict[str, int] = {}  # sequence as sent, by batch; the latest sent is last
        self._position = now()

    async def frames(self, after: str | None) -> AsyncGenerator[BatchListFrame, None]:
        """Yield frames until the subscriber leaves.

        Raises:
            InvalidCursor: the cursor belongs to another filter.
            Unauthenticated: the key was revoked meanwhile.
        """
        bus = self._context.stores.bus
        if after is not None:
            self._position = self._read_cursor(after)
        async with bus.listen(bus.events_channel(self._scope.namespace_id)) as listener:
            yield await (self._first_page() if after is None else self._missed())
            while True:
                await asyncio.sleep(_PACE_SECONDS)
                await listener.wait(_LOOK_SECONDS)
                await self._context.revalidate_when_due()
                changes = await self._changes()
                if changes:
                    yield self._frame(changes)

    async def _first_page(self) -> BatchListFrame:
        self._position = now()
        page = await self._scope.page(Batch, self._filter.match(), limit=_PAGE, newest_first=True)
        entries = [self._entry(batch) for batch in reversed(page.items)]
        return self._frame(entries[::-1])

    async def _missed(self) -> BatchListFrame:
        """Return what happened since the cursor; it may be nothing."""
        since = self._position - _OVERLAP
        page = await self._scope.page(Batch, self._filter.match(), limit=_KNOWN, newest_first=True)
        # Their sequences are not known: zero, which no batch has, lets each change be sent.
        told = [batch for batch in reversed(page.items) if batch.created_at <= since]
        self._seen = {batch.id: 0 for batch in told}
        return self._frame(await self._changes(tell_all=True))

    async def _changes(self, *, tell_all: bool = False) -> list[BatchChange]:
        since, self._position = self._position - _OVERLAP, now()
        self._context.forget()
        changed = await self._scope.all(Batch, {"updated_at": {"$gte": since}})
        changes = [
            change
            for batch in changed
            if self._seen.get(batch.id) != batch.sequence
            and (change := self._change(batch, tell_all=tell_all)) is not None
        ]
        changes += await self._deleted()
        self._forget_all_but({batch.id for batch in changed})
        return changes

    def _forget_all_but(self, recent: set[str]) -> None:
        """Keep the latest, and what the next look reads again: else it would be sent again."""
        for batch_id in list(self._seen)[:-_KNOWN]:
            if batch_id not in recent:
                del self._seen[batch_id]

    async def _deleted(self) -> list[BatchChange]:
        known = list(self._seen)
        if await self._scope.count(Batch, {"_id": {"$in": known}}) == len(known):
            return []
        there = await self._scope.find_many(Batch, known)
        gone = [batch_id for batch_id in known if batch_id not in there]
        for batch_id in gone:
            del self._seen[batch_id]
        return [
            BatchChange(kind=ChangeKind.LEFT, batch_id=strawberry.ID(batch_id), batch=None)
            for batch_id in gone
        ]

    def _change(self, batch: Batch, *, tell_all: bool) -> BatchChange | None:
        if self._filter.admits(batch):
            return self._entry(batch)
        if self._seen.pop(batch.id, None) is None and not tell_all:
            return None
        return BatchChange(
            kind=ChangeKind.LEFT, batch_id=strawberry.ID(batch.id), batch=show_batch(batch)
        )

    def _entry(self, batch: Batch) -> BatchChange:
        known = self._seen.pop(batch.id, None) is not None
        self._seen[batch.id] = batch.sequence
        return BatchChange(
            kind=ChangeKind.CHANGED if known else ChangeKind.ENTERED,
            batch_id=strawberry.ID(batch.id),
            batch=show_batch(batch),
        )

    def _frame(self, changes: list[BatchChange]) -> BatchListFrame:
        cursor = self._context.services.cursors.write(
            self._kind, self._scope.namespace_id, self._position.isoformat()
        )
        return BatchListFrame(cursor=cursor, changes=changes)

    @property
    def _kind(self) -> str:
        return f"changes:{self._filter.kind()}"

    def _read_cursor(self, cursor: str) -> datetime:
        cursors = self._context.services.cursors
        text = cursors.read(self._kind, self._scope.namespace_id, cursor)
        try:
            return datetime.fromisoformat(text)
        except ValueError as error:
            raise InvalidCursor(
                "The cursor is not of this subscription.", path=("after",)
            ) from error
