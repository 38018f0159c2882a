"""Runs tasks: claim, job, end. A job that dies is taken up again when its lease runs out.

What fails for a reason that may pass is tried again for as long as it takes, at growing distances:
a deletion that was accepted gets done. What fails otherwise gets a few attempts, then says why.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from pymongo.errors import PyMongoError

from models.errors import Permanent, StaleTask, Transient
from models.failpoints import Failpoint, reach
from models.states import BatchStatus
from models.stored import now
from models.stores import Stores
from models.task import TaskType, claim_task, read_due_tasks
from workers.deletions import delete_bucket_job, delete_collection_job
from workers.imports import import_objects_job
from workers.namespace_deletion import delete_namespace_job
from workers.reprocessing import reprocess_job
from workers.task_run import TaskRun

logger = logging.getLogger(__name__)
JOBS: Final[Mapping[TaskType, Callable[[TaskRun], Awaitable[None]]]] = {
    TaskType.BUCKET_DELETE: delete_bucket_job,
    TaskType.COLLECTION_DELETE: delete_collection_job,
    TaskType.NAMESPACE_DELETE: delete_namespace_job,
    TaskType.OBJECTS_IMPORT: import_objects_job,
    TaskType.COLLECTION_REPROCESS: reprocess_job,
}
_AT_ONCE: Final = 4  # in one process
_DUE: Final = 100
_MAX_ATTEMPTS: Final = 5  # of a job that fails for no known reason
_BACKOFF_SECONDS: Final = 1.0
_BACKOFF_CAP: Final = 60.0


async def run_tasks_forever(stores: Stores) -> None:
    """Run tasks as they are rung for; what was not heard of is found at the sweep's interval."""
    running: dict[str, asyncio.Task[None]] = {}
    async with (
        stores.bus.listen(stores.bus.tasks_channel) as listener,
        asyncio.TaskGroup() as group,
    ):
        while True:
            for task_id in await _due(limit=_DUE):
                if len(running) < _AT_ONCE and task_id not in running:
                    running[task_id] = group.create_task(run_task(stores, task_id))
                    running[task_id].add_done_callback(lambda _: listener.ring(None))
            await listener.wait(stores.settings.worker.sweep_seconds)
            running = {task_id: task for task_id, task in running.items() if not task.done()}


async def _due(*, limit: int) -> list[str]:
    try:
        return await read_due_tasks(limit=limit)
    except PyMongoError as error:
        logger.warning("Tasks: MongoDB failed: %s", type(error).__name__)
        return []


async def run_task(stores: Stores, task_id: str) -> None:
    """Run one task to its end, or until something fails; a no-op when another worker has it."""
    try:
        claimed = await claim_task(task_id, lease_seconds=stores.settings.worker.lease_seconds)
        if claimed is not None:
            await _run(TaskRun(stores, claimed))
    except StaleTask:
        logger.info("Task %s was taken up by another worker", task_id)
    except PyMongoError as error:  # the lease runs out, and the sweep comes back
        logger.warning("Task %s: MongoDB failed: %s", task_id, type(error).__name__)


async def _run(run: TaskRun) -> None:
    try:
        await reach(Failpoint.TASK_CLAIMED)
        await JOBS[run.task.type](run)
        await reach(Failpoint.TASK_DONE)
    except StaleTask:
        raise
    except Transient as error:
        await _put_off(run, error.message)
    except PyMongoError as error:
        await _put_off(run, f"MongoDB failed ({type(error).__name__}).")
    except Permanent as error:
        await _end(run, BatchStatus.FAILED, error.message)
    except Exception as error:
        logger.exception("Task %s", run.task.id)
        if run.task.attempts < _MAX_ATTEMPTS:
            await _put_off(run, f"An internal error ({type(error).__name__}).")
        else:
            await _end(run, BatchStatus.FAILED, f"An internal error ({type(error).__name__}).")
    else:
        await _end(run, run.outcome, run.message)


async def _put_off(run: TaskRun, message: str) -> None:
    """Give a task back for a later attempt."""
    delay = min(_BACKOFF_SECONDS * 2 ** (run.task.attempts - 1), _BACKOFF_CAP)
    logger.warning("Task %s goes on in %.0f s: %s", run.task.id, delay, message)
    await run.change({"error_message": message}, lease_seconds=delay)


async def _end(run: TaskRun, status: BatchStatus, message: str | None) -> None:
    await run.end({"status": str(status), "error_message": message, "finished_at": now()})
    await run.stores.bus.mirror_task(run.task.id, run.task.model_dump_json(by_alias=True))
