"""What those who watch a namespace's batches share: each answer of MongoDB, and each frame.

A look stands for one moment. Watchers who took the look before it ask it the same, so the first of
them has it read and the others take what it finds.
"""

from collections.abc import Hashable
from datetime import datetime

from graphql_api.batches.frames import BatchChange, BatchListFrame
from graphql_api.batches.inputs import BatchFilter
from graphql_api.looks import Questions
from models.batch import Batch
from models.events import read_deleted_batches
from models.scope import Scope
from models.stored import now


class BatchListLook:
    """A namespace's batches as they were at one moment, or a little later."""

    def __init__(self, scope: Scope) -> None:
        self.at = now()
        self._scope = scope
        self._questions = Questions()
        self._frames: dict[Hashable, BatchListFrame] = {}

    async def page(self, chosen: BatchFilter, limit: int) -> list[Batch]:
        """Return the newest batches that match, the newest first."""
        page = await self._questions.once(
            ("page", chosen.kind(), limit),
            lambda: self._scope.page(Batch, chosen.match(), limit=limit, newest_first=True),
        )
        return page.items

    async def changed(self, since: datetime) -> list[Batch]:
        """Return what changed, in the order of creation."""
        return await self._questions.once(
            ("changed", since),
            lambda: self._scope.all(Batch, {"updated_at": {"$gte": since}}),
        )

    async def deleted(self, since: datetime) -> list[str]:
        """Return the ids of what was deleted."""
        return await self._questions.once(
            ("deleted", since), lambda: read_deleted_batches(self._scope.namespace_id, since)
        )

    def frame(self, cursor: str, changes: list[BatchChange]) -> BatchListFrame:
        """Return a frame; who is told the same gets the same, so it is executed once."""
        told = (cursor, *map(_identity, changes))
        return self._frames.setdefault(told, BatchListFrame(cursor=cursor, changes=changes))


def _identity(change: BatchChange) -> tuple[str, str, int]:
    """Return what tells a change from others: two questions may find a batch at two moments."""
    sequence = 0 if change.batch is None else int(change.batch.sequence)
    return change.kind, change.batch_id, sequence
