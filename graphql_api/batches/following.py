"""Follows one batch: snapshot or replay first, then its log as it grows, until its terminal event.

Wake-ups are registered before the log is read, so nothing falls between; Redis only says when to
look, and a look every few seconds makes up for a lost call. Progress is sent at most four times a
second.
"""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Final, TypedDict

from graphql_api.batches.frames import (
    BatchDiscontinuity,
    BatchEvents,
    BatchFrame,
    BatchSnapshot,
    DiscontinuityReason,
    show_event,
)
from graphql_api.batches.types import show_batch
from graphql_api.context import Context
from graphql_api.pagination import Cursors
from graphql_api.scalars import BigInt, DateTime
from models.batch import Batch
from models.bus import Listener
from models.errors import InvalidCursor
from models.events import PROGRESS, Event, read_events
from models.states import FINAL
from models.stored import now

_LOOK_SECONDS: Final = 5.0
_PROGRESS_SECONDS: Final = 0.25
_CHUNK: Final = 100


class _FrameFields(TypedDict):
    cursor: str
    from_sequence: BigInt
    sequence: BigInt
    at: DateTime


class BatchLook:
    """A batch as it was at one moment, and what is news to followers at each position."""

    def __init__(self, batch: Batch, cursors: Cursors) -> None:
        self.batch = batch
        self._cursors = cursors
        self._news: dict[int, list[BatchFrame] | asyncio.Task[list[BatchFrame]]] = {}

    def snapshot(self, after: int = 0) -> BatchFrame:
        """Return the batch as a frame that stands for every event past a position."""
        fields = self._frame(after + 1, self.batch.sequence, self.batch.sequence)
        return BatchSnapshot(batch=show_batch(self.batch), **fields)

    async def news(self, position: int) -> list[BatchFrame]:
        """Return what a follower at a position misses; who asks first has it read."""
        if position == self.batch.sequence:
            return []
        found = self._news.get(position)
        if found is None:
            found = self._news[position] = asyncio.create_task(self._read(position))
        if isinstance(found, list):
            return found
        return found.result() if found.done() else await asyncio.shield(found)

    async def foresee(self, position: int) -> None:
        """Read what is news to followers who saw the look before this one: most of them."""
        if position < self.batch.sequence:
            self._news[position] = await self._read(position)

    async def _read(self, position: int) -> list[BatchFrame]:
        batch = self.batch
        if position > batch.sequence:
            return [self._gap(0, DiscontinuityReason.LOG_RESET), self.snapshot()]
        events = await read_events(batch.id, after=position, limit=_CHUNK)
        # The batch was read first: what is newer than it waits for the next look.
        events = [event for event in events if event.sequence <= batch.sequence]
        if not events or events[0].sequence != position + 1:
            return [self._gap(position, DiscontinuityReason.RETENTION), self.snapshot(position)]
        joined = [one for place, one in enumerate(events, position + 1) if one.sequence == place]
        return [self._events(joined)]

    def _events(self, events: list[Event]) -> BatchFrame:
        first, last = events[0].sequence, events[-1].sequence
        return BatchEvents(
            batch=show_batch(self.batch),
            events=[show_event(event) for event in events],
            **self._frame(first, last, last),
        )

    def _gap(self, known: int, reason: DiscontinuityReason) -> BatchFrame:
        """Say what is missing. Its cursor is the one it answers: a resume says it again."""
        return BatchDiscontinuity(
            reason=reason, **self._frame(known + 1, self.batch.sequence, known)
        )

    def _frame(self, first: int, last: int, position: int) -> _FrameFields:
        kind, namespace_id = f"batch:{self.batch.id}", self.batch.namespace_id
        return {
            "cursor": self._cursors.write(kind, namespace_id, str(position)),
            "from_sequence": BigInt(first),
            "sequence": BigInt(last),
            "at": DateTime(now()),
        }


class BatchFollower:
    """One subscriber of one batch."""

    def __init__(self, context: Context, batch_id: str) -> None:
        self._context = context
        self._scope = context.scope
        self._batch_id = batch_id

    async def frames(self, after: str | None) -> AsyncGenerator[BatchFrame, None]:
        """Yield frames that join; ends after the terminal event.

        Raises:
            NotFound: no such batch here, or it was deleted.
            InvalidCursor: the cursor belongs to another batch.
            Unauthenticated: the key was revoked meanwhile.
        """
        bus = self._context.stores.bus
        await self._read()
        position = 0 if after is None else self._read_cursor(after)
        channel = bus.events_channel(self._scope.namespace_id)
        subject = (self._scope.namespace_id, self._batch_id)
        with self._context.services.looks.of(subject) as looks:
            async with bus.listen(channel, only=self._batch_id) as listener:
                look: BatchLook = await looks.since(_clock(), self._read)
                if after is None:
                    position = look.batch.sequence
                    yield look.snapshot()
                while True:
                    frames = await look.news(position)
                    for frame in frames:
                        yield frame
                    if frames:
                        position = int(frames[-1].sequence)
                    if position >= look.batch.sequence:
                        if look.batch.status in FINAL:
                            return
                        await self._pace(frames)
                        moment = await self._wait(listener)
                        await self._context.revalidate_when_due()
                        look = await looks.since(moment, partial(self._read_next, look))

    async def _read(self) -> BatchLook:
        batch = await self._scope.require(Batch, self._batch_id, path=("batchId",))
        return BatchLook(batch, self._context.services.cursors)

    async def _read_next(self, before: BatchLook) -> BatchLook:
        look = await self._read()
        await look.foresee(before.batch.sequence)
        return look

    def _read_cursor(self, cursor: str) -> int:
        cursors = self._context.services.cursors
        position = cursors.read(f"batch:{self._batch_id}", self._scope.namespace_id, cursor)
        if not position.isdecimal():
            raise InvalidCursor("The cursor is not of this subscription.", path=("after",))
        return int(position)

    async def _pace(self, frames: list[BatchFrame]) -> None:
        """Let progress gather; a subscriber who is behind is not slowed down by this."""
        events = [e for frame in frames if isinstance(frame, BatchEvents) for e in frame.events]
        if events and all(event.type in PROGRESS for event in events):
            await asyncio.sleep(_PROGRESS_SECONDS)

    async def _wait(self, listener: Listener) -> float:
        """Sleep until this batch is announced, or until it is time for a look anyway.

        Returns the moment after which the next look must have begun. A look made only to be sure
        may be some seconds old: it is another follower's.
        """
        rung = await listener.wait(_LOOK_SECONDS)
        return listener.rung_at if rung else max(listener.rung_at, _clock() - _LOOK_SECONDS / 2)


def _clock() -> float:
    return asyncio.get_running_loop().time()
