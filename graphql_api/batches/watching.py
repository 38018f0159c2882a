"""Watches the list of batches: a first page, then what enters, changes or leaves a filter.

Entries are states, not differences, and one a batch: sending a batch again is harmless. The cursor
is a time; a resume repeats the last seconds before it, since transactions may become visible out of
their order. Deletions are told for as long as the log is kept.

All watchers of a namespace wake at the same moments, so that one look serves them.
"""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import strawberry

from graphql_api.batches.frames import BatchChange, BatchListFrame, ChangeKind
from graphql_api.batches.inputs import BatchFilter
from graphql_api.batches.list_look import BatchListLook
from graphql_api.batches.types import show_batch
from graphql_api.context import Context
from graphql_api.looks import Looks
from models.batch import Batch
from models.bus import Listener
from models.errors import InvalidCursor
from models.scope import Scope

_LOOK_SECONDS: Final = 5.0
_PACE_SECONDS: Final = 0.25
_OVERLAP: Final = timedelta(seconds=10)
_ROUNDED: Final = timedelta(seconds=5)  # what came after whom is asked by few moments
_PAGE: Final = 50
_KNOWN: Final = 1000  # batches whose leaving is noticed: the latest that were sent


class BatchesWatcher:
    """One subscriber of a list of batches."""

    def __init__(self, context: Context, chosen: BatchFilter) -> None:
        self._context = context
        self._scope = context.scope
        self._filter = chosen
        self._seen: dict[str, int] = {}  # sequence as sent, by batch; the latest sent is last

    async def frames(self, after: str | None) -> AsyncGenerator[BatchListFrame, None]:
        """Yield frames until the subscriber leaves.

        Raises:
            InvalidCursor: the cursor belongs to another filter.
            Unauthenticated: the key was revoked meanwhile.
        """
        bus = self._context.stores.bus
        start = None if after is None else self._read_cursor(after)
        channel = bus.events_channel(self._scope.namespace_id)
        with self._context.services.looks.of(("batches", self._scope.namespace_id)) as looks:
            async with bus.listen(channel) as listener:
                look = await self._look(looks, _clock())
                yield await (self._first_page(look) if start is None else self._missed(look, start))
                while True:
                    position = look.at
                    look = await self._look(looks, await self._wait(listener))
                    changes = await self._changes(look, position)
                    if changes:
                        yield self._frame(look, changes)

    async def _look(self, looks: Looks[BatchListLook], moment: float) -> BatchListLook:
        return await looks.since(moment, partial(_begin_look, self._scope))

    async def _wait(self, listener: Listener) -> float:
        """Let changes gather, and sleep until there is one or it is time for a look anyway.

        Returns the moment after which the next look must have begun. A look made only to be sure
        may be some seconds old: it is another watcher's.
        """
        await asyncio.sleep(_until_next(_PACE_SECONDS))
        await listener.wait(_until_next(_LOOK_SECONDS))
        await self._context.revalidate_when_due()
        return max(listener.rung_at, _clock() - _LOOK_SECONDS / 2)

    async def _first_page(self, look: BatchListLook) -> BatchListFrame:
        page = await look.page(self._filter, _PAGE)
        entries = [self._entry(batch) for batch in reversed(page)]
        return self._frame(look, entries[::-1])

    async def _missed(self, look: BatchListLook, position: datetime) -> BatchListFrame:
        """Return what happened since the cursor; it may be nothing."""
        since = _before(position)
        page = await look.page(self._filter, _KNOWN)
        # Their sequences are not known: zero, which no batch has, lets each change be sent.
        told = [batch for batch in reversed(page) if batch.created_at <= since]
        self._seen = {batch.id: 0 for batch in told}
        return self._frame(look, await self._changes(look, position, tell_all=True))

    async def _changes(
        self, look: BatchListLook, position: datetime, *, tell_all: bool = False
    ) -> list[BatchChange]:
        since = _before(position)
        self._context.forget()
        changed = await look.changed(since)
        changes = [
            change
            for batch in changed
            if self._seen.get(batch.id) != batch.sequence
            and (change := self._change(batch, tell_all=tell_all)) is not None
        ]
        changes += self._gone(await look.deleted(since), tell_all=tell_all)
        self._forget_all_but({batch.id for batch in changed})
        return changes

    def _forget_all_but(self, recent: set[str]) -> None:
        """Keep the latest, and what the next look reads again: else it would be sent again."""
        for batch_id in list(self._seen)[:-_KNOWN]:
            if batch_id not in recent:
                del self._seen[batch_id]

    def _gone(self, deleted: list[str], *, tell_all: bool) -> list[BatchChange]:
        return [
            BatchChange(kind=ChangeKind.LEFT, batch_id=strawberry.ID(batch_id), batch=None)
            for batch_id in deleted
            if self._seen.pop(batch_id, None) is not None or tell_all
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

    def _frame(self, look: BatchListLook, changes: list[BatchChange]) -> BatchListFrame:
        cursor = self._context.services.cursors.write(
            self._kind, self._scope.namespace_id, look.at.isoformat()
        )
        return look.frame(cursor, changes)

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


async def _begin_look(scope: Scope) -> BatchListLook:
    return BatchListLook(scope)


def _before(position: datetime) -> datetime:
    """Return from when on to ask so that nothing is missed; nearby positions ask the same."""
    since = position - _OVERLAP
    return since - (since - datetime.min.replace(tzinfo=since.tzinfo)) % _ROUNDED


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _until_next(period: float) -> float:
    """Return how long it is to the next multiple of a period: the same moment for everyone."""
    return period - _clock() % period
