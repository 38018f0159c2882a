"""Follows one batch: snapshot or replay first, then its log as it grows, until its terminal event.

Wake-ups are registered before the log is read, so nothing falls between; Redis only says when to
look, and a look every few seconds makes up for a lost call. Progress is sent at most four times a
second.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
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


class BatchFollower:
    """One subscriber of one batch."""

    def __init__(self, context: Context, batch_id: str) -> None:
        self._context = context
        self._scope = context.scope
        self._batch_id = batch_id
        self._position = 0

    async def frames(self, after: str | None) -> AsyncGenerator[BatchFrame, None]:
        """Yield frames that join; ends after the terminal event.

        Raises:
            NotFound: no such batch here, or it was deleted.
            InvalidCursor: the cursor belongs to another batch.
            Unauthenticated: the key was revoked meanwhile.
        """
        bus = self._context.stores.bus
        await self._load()
        if after is not None:
            self._position = self._read_cursor(after)
        async with bus.listen(bus.events_channel(self._scope.namespace_id)) as listener:
            if after is None:
                yield self._snapshot(await self._load())
            while True:
                batch = await self._load()
                frames = await self._news(batch)
                for frame in frames:
                    yield frame
                if self._position >= batch.sequence:
                    if batch.status in FINAL:
                        return
                    await self._pace(frames)
                    await self._wait(listener)
                await self._context.revalidate_when_due()

    async def _news(self, batch: Batch) -> list[BatchFrame]:
        if self._position == batch.sequence:
            return []
        if self._position > batch.sequence:
            return [self._gap(batch, DiscontinuityReason.LOG_RESET), self._snapshot(batch)]
        events = await read_events(self._batch_id, after=self._position, limit=_CHUNK)
        # The batch was read first: what is newer than it waits for the next look.
        events = [event for event in events if event.sequence <= batch.sequence]
        if not events or events[0].sequence != self._position + 1:
            return [self._gap(batch, DiscontinuityReason.RETENTION), self._snapshot(batch)]
        return [self._events(batch, events)]

    async def _load(self) -> Batch:
        self._context.forget()
        return await self._scope.require(Batch, self._batch_id, path=("batchId",))

    def _snapshot(self, batch: Batch) -> BatchFrame:
        first, self._position = self._position + 1, batch.sequence
        return BatchSnapshot(batch=show_batch(batch), **self._frame(first, self._position))

    def _events(self, batch: Batch, events: list[Event]) -> BatchFrame:
        self._position = events[-1].sequence
        return BatchEvents(
            batch=show_batch(batch),
            events=[show_event(event) for event in events],
            **self._frame(events[0].sequence, self._position),
        )

    def _gap(self, batch: Batch, reason: DiscontinuityReason) -> BatchFrame:
        """Say what is missing. Its cursor is the one it answers: a resume says it again."""
        known = 0 if reason is DiscontinuityReason.LOG_RESET else self._position
        frame = BatchDiscontinuity(reason=reason, **self._frame(known + 1, batch.sequence))
        self._position = known
        return frame

    def _frame(self, first: int, last: int) -> _FrameFields:
        cursors = self._context.services.cursors
        return {
            "cursor": cursors.write(
                f"batch:{self._batch_id}", self._scope.namespace_id, str(self._position)
            ),
            "from_sequence": BigInt(first),
            "sequence": BigInt(last),
            "at": DateTime(now()),
        }

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

    async def _wait(self, listener: Listener) -> None:
        """Sleep until this batch is announced, or until it is time for a look anyway."""
        deadline = time.monotonic() + _LOOK_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            rung = await listener.wait(left)
            if not rung or self._batch_id in rung:
                break
