"""Follows a namespace's log: everything after a cursor, then what is added, exact at the seam.

Positions are given in one order and become visible in it, so whoever has read up to one has missed
nothing before it. Redis only says when to look.
"""

from collections.abc import AsyncGenerator, Collection
from typing import Final

from graphql_api.batches.frames import DiscontinuityReason
from graphql_api.context import Context
from graphql_api.events.frames import (
    NamespaceDiscontinuity,
    NamespaceEvents,
    NamespaceFrame,
    show_entry,
)
from graphql_api.scalars import BigInt, DateTime
from models.errors import InvalidCursor
from models.event_log import read_entries, read_position, read_trimmed
from models.events import Entry
from models.stored import now

_LOOK_SECONDS: Final = 5.0
_CHUNK: Final = 100


class NamespaceFollower:
    """One subscriber of a namespace's log, or of some types of events in it."""

    def __init__(self, context: Context, types: Collection[str]) -> None:
        self._context = context
        self._namespace_id = context.scope.namespace_id
        self._types = frozenset(types)
        self._read = 0  # up to here the log was read
        self._sent = 0  # up to here frames were sent

    async def frames(self, after: str | None) -> AsyncGenerator[NamespaceFrame, None]:
        """Yield frames until the subscriber leaves.

        Raises:
            InvalidCursor: the cursor is of another namespace or subscription.
            Unauthenticated: the key was revoked meanwhile.
        """
        bus = self._context.stores.bus
        start = None if after is None else self._read_cursor(after)
        async with bus.listen(bus.placed_channel(self._namespace_id)) as listener:
            last = await read_position(self._namespace_id)
            self._read = self._sent = last if start is None else start
            if start is None:
                yield self._events([])
            elif start > last:
                yield self._reset(last)
            while True:
                entries = await read_entries(self._namespace_id, after=self._read, limit=_CHUNK)
                if self._may_miss(entries):
                    trimmed = await read_trimmed(self._namespace_id)
                    if trimmed > self._read:
                        yield self._trimmed(trimmed)
                        continue
                frame = self._frame_of(entries)
                if frame is not None:
                    yield frame
                if len(entries) < _CHUNK:
                    await listener.wait(_LOOK_SECONDS)
                await self._context.revalidate_when_due()

    def _frame_of(self, entries: list[Entry]) -> NamespaceFrame | None:
        if not entries:
            return None
        self._read = entries[-1].position
        wanted = [one for one in entries if not self._types or str(one.type) in self._types]
        return self._events(wanted) if wanted else None

    def _events(self, entries: list[Entry]) -> NamespaceFrame:
        first, self._sent = self._sent + 1, self._read
        return NamespaceEvents(
            cursor=self._cursor(),
            from_position=BigInt(first),
            position=BigInt(self._read),
            at=DateTime(now()),
            events=[show_entry(entry) for entry in entries],
        )

    def _may_miss(self, entries: list[Entry]) -> bool:
        """Tell whether entries after the last one read may have been removed."""
        return not entries or entries[-1].position != self._read + len(entries)

    def _trimmed(self, until: int) -> NamespaceFrame:
        """Say what the log does not hold any more, and go on behind it."""
        first, self._read = self._sent + 1, until
        self._sent = until
        return NamespaceDiscontinuity(
            cursor=self._cursor(),
            from_position=BigInt(first),
            position=BigInt(until),
            at=DateTime(now()),
            reason=DiscontinuityReason.RETENTION,
        )

    def _reset(self, last: int) -> NamespaceFrame:
        """Say that the cursor lies past the log's end, and begin at its beginning."""
        self._read = self._sent = 0
        return NamespaceDiscontinuity(
            cursor=self._cursor(),
            from_position=BigInt(1),
            position=BigInt(last),
            at=DateTime(now()),
            reason=DiscontinuityReason.LOG_RESET,
        )

    def _cursor(self) -> str:
        cursors = self._context.services.cursors
        return cursors.write("log", self._namespace_id, str(self._read))

    def _read_cursor(self, cursor: str) -> int:
        position = self._context.services.cursors.read("log", self._namespace_id, cursor)
        if not position.isdecimal():
            raise InvalidCursor("The cursor is not of this subscription.", path=("after",))
        return int(position)
