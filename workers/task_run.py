"""A task in the hands of one worker: what a job gets to report progress and to learn it lost."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from models.database import Session
from models.errors import StaleTask
from models.failpoints import Failpoint, reach
from models.scope import Scope
from models.states import BatchStatus
from models.stores import Stores
from models.task import Task, TaskProgress, change_task


class TaskRun:
    """One claim of one task. A job marks each step that it can go on from after a kill."""

    def __init__(self, stores: Stores, task: Task) -> None:
        self.stores = stores
        self.task = task
        self.outcome = BatchStatus.COMPLETED
        self.message: str | None = None  # why the outcome is another
        # Written with the task's end, so that a job that runs again finds what it needs.
        self.at_end: Callable[[Session], Awaitable[None]] | None = None

    @property
    def scope(self) -> Scope:
        """The namespace of the task."""
        return Scope(self.task.namespace_id)

    @property
    def subject_id(self) -> str:
        """The id of what the task works on."""
        assert self.task.subject_id is not None  # tasks that are run have a subject
        return self.task.subject_id

    async def mark(
        self, step: str, *, done: int = 0, total: int | None = None, position: str | None = None
    ) -> None:
        """Write down how far the job is, and keep the task for another lease.

        Raises:
            StaleTask: another worker has taken the task up; stop.
        """
        progress = TaskProgress(step=step, done=done, total=total)
        await self.change({"progress": progress.model_dump(), "position": position, "attempts": 0})
        await reach(Failpoint.TASK_MARKED)

    async def change(
        self, values: Mapping[str, Any], *, lease_seconds: float | None = None
    ) -> None:
        """Write values of the task under our epoch; raises StaleTask."""
        lease = lease_seconds or self._lease_seconds
        await self._take(await change_task(self.task, values, lease_seconds=lease))

    async def end(self, values: Mapping[str, Any]) -> None:
        """Write the last values, and in one with them what is to be done at the end.

        Raises:
            StaleTask: another worker has taken the task up.
        """

        async def work(session: Session) -> Task | None:
            changed = await change_task(
                self.task, values, lease_seconds=self._lease_seconds, session=session
            )
            if changed is not None and self.at_end is not None:
                await self.at_end(session)
            return changed

        await self._take(await self.stores.database.transaction(work))

    @property
    def _lease_seconds(self) -> float:
        return self.stores.settings.worker.lease_seconds

    async def _take(self, changed: Task | None) -> None:
        if changed is None:
            raise StaleTask(f"Task {self.task.id} is no longer ours.")
        self.task = changed
        await self.stores.bus.announce_task(changed.namespace_id, changed.id, changed.sequence)
