"""Deleting a namespace with everything in it, as a task that goes on after a kill.

Accepting is one transaction: the namespace is marked, its keys keep the scope READ alone, and the
task is stored. Whoever was writing at that moment may go on for a little: the job looks again when
the last of them must have ended, and only then lets go of the keys and the namespace. What is kept
is the task itself and the audit log.
"""

from datetime import timedelta
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession

from models.api_key import ApiKey, KeyScope
from models.audit import AuditEntry
from models.batch import Batch
from models.collection import Collection
from models.database import MODELS
from models.errors import InUse, NotFound, Transient
from models.event_log import EventLog
from models.failpoints import Failpoint, reach
from models.idempotency import IdempotentRequest
from models.ids import new_id
from models.namespace import Namespace
from models.scope import Scope
from models.states import FINAL, LIVE, BatchStatus
from models.stored import Namespaced, now
from models.stores import Stores
from models.task import Task, TaskType, insert_task
from workers.batches import end_batch
from workers.caches import CacheScope, drop_answers
from workers.namespaces import require_namespace
from workers.task_run import TaskRun

_CHUNK: Final = 1000
_FEW: Final = 50
# A key is believed for 5 s, and what was begun with it may run for 30 s.
WRITERS_GONE: Final = timedelta(seconds=35)
_KEPT: Final = frozenset({ApiKey, AuditEntry, Task})
# Collections come before their documents: without one, no cached answer about it is given.
_REMOVED: Final = tuple(
    model for model in MODELS if issubclass(model, Namespaced) and model not in _KEPT
)


async def delete_namespace(stores: Stores, scope: Scope, *, force: bool = False) -> Task:
    """Begin to delete a namespace; asked again, answer with the same task.

    Raises:
        NotFound: no such namespace.
        InUse: it has live batches, and `force`, which cancels them, was not given.
    """
    await require_namespace(scope.namespace_id)
    live = await scope.count(Batch, {"status": {"$in": sorted(LIVE)}})
    if live and not force:
        raise InUse(
            f"The namespace has {live} live batches.",
            path=("namespaceId",),
            hint="Wait for them, cancel them, or send `force: true`, which cancels them.",
        )

    async def accept(session: AsyncClientSession) -> Task:
        row = await Namespace.get_pymongo_collection().find_one(
            {"_id": scope.namespace_id}, session=session
        )
        if row is None:
            raise NotFound(f"No namespace {scope.namespace_id!r} here.", path=("namespaceId",))
        known = await Task.get_pymongo_collection().find_one(
            {"_id": row.get("deletion_task_id"), "status": {"$nin": sorted(FINAL)}},
            session=session,
        )
        return Task.model_validate(known) if known else await _mark(session, scope.namespace_id)

    task = await stores.database.transaction(accept)
    await reach(Failpoint.TASK_ACCEPTED)
    await stores.bus.ring_tasks(task.id)
    return task


async def _mark(session: AsyncClientSession, namespace_id: str) -> Task:
    task = Task(
        id=new_id("tsk"),
        namespace_id=namespace_id,
        type=TaskType.NAMESPACE_DELETE,
        subject_id=namespace_id,
        status=BatchStatus.QUEUED,
    )
    await Namespace.get_pymongo_collection().update_one(
        {"_id": namespace_id}, {"$set": {"deletion_task_id": task.id}}, session=session
    )
    await ApiKey.get_pymongo_collection().update_many(
        {"namespace_id": namespace_id},
        {"$set": {"scopes": [str(KeyScope.READ)]}},
        session=session,
    )
    await insert_task(session, task)
    return task


async def delete_namespace_job(run: TaskRun) -> None:
    """Delete everything of a marked namespace, then its keys and itself.

    Raises:
        Transient: somebody may still be writing; the task comes back to it.
    """
    await _end_batches(run)
    await _drop_vectors(run)
    await _delete_artifacts(run)
    await _delete_rows(run)
    await reach(Failpoint.NAMESPACE_EMPTIED)
    if now() - run.task.created_at < WRITERS_GONE:
        raise Transient("Waits until nothing can be written to the namespace any more.")
    await drop_answers(run.stores.answers, run.task.namespace_id, CacheScope.NAMESPACE)
    await run.stores.database.transaction(lambda session: _let_go(session, run.task))


async def _end_batches(run: TaskRun) -> None:
    done = 0
    match = {"status": {"$in": sorted([*LIVE, BatchStatus.DRAFT])}}
    while batches := (await run.scope.page(Batch, match, limit=_FEW)).items:
        for batch in batches:
            await end_batch(run.stores, run.scope, batch)
        done += len(batches)
        await run.mark("batches", done=done)


async def _drop_vectors(run: TaskRun) -> None:
    """Drop the points of each collection while the collections still say which there are."""
    position, done = None, 0
    while True:
        page = await run.scope.page(Collection, limit=_FEW, after=position)
        for collection in page.items:
            await run.stores.vectors.drop(collection.id)
            done, position = done + 1, collection.id
            await run.mark("vectors", done=done)
        if not page.has_next:
            return


async def _delete_artifacts(run: TaskRun) -> None:
    done = 0
    while keys := await run.stores.artifacts.list_keys(run.task.namespace_id, limit=_CHUNK):
        await run.stores.artifacts.delete_keys(keys)
        done += len(keys)
        await run.mark("artifacts", done=done)


async def _delete_rows(run: TaskRun) -> None:
    done = 0
    match = {"namespace_id": run.task.namespace_id}
    for model in _REMOVED:
        rows = model.get_pymongo_collection()
        while ids := [row["_id"] async for row in rows.find(match, {"_id": 1}, limit=_CHUNK)]:
            await rows.delete_many({**match, "_id": {"$in": ids}})
            done += len(ids)
            await run.mark("rows", done=done)


async def _let_go(session: AsyncClientSession, task: Task) -> None:
    mine: dict[str, Any] = {"namespace_id": task.namespace_id}
    await EventLog.get_pymongo_collection().delete_one({"_id": task.namespace_id}, session=session)
    await IdempotentRequest.get_pymongo_collection().delete_many(
        {"owner": task.namespace_id}, session=session
    )
    await Task.get_pymongo_collection().delete_many(
        {**mine, "_id": {"$ne": task.id}}, session=session
    )
    await ApiKey.get_pymongo_collection().delete_many(mine, session=session)
    await Namespace.get_pymongo_collection().delete_one({"_id": task.namespace_id}, session=session)
