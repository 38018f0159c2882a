"""A task in the hands of one worker: what a job gets to report progress and to learn it lost."""

from collections.abc import Mapping
from typing import Any

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
        lease = lease_seconds or self.stores.settings.worker.lease_seconds
        changed = await change_task(self.task, values, lease_seconds=lease)
        if changed is None:
            raise StaleTask(f"Task {self.task.id} is no longer ours.")
        self.task = changed
        await self.stores.bus.announce_task(changed.namespace_id, changed.id, changed.sequence)
