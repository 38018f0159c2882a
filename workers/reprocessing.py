"""Reprocessing a collection: a batch over what it holds, or over all of its bucket, once more.

The draft is there at once; a task adds the objects, however many, and submits it. Ids of documents
say what they are made of, so each is replaced in the commit of its block and readable until then.
"""

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Final

from models.batch import Batch, Reason, create_batch
from models.collection import Collection
from models.database import Session
from models.document import Document
from models.errors import (
    Conflict,
    IllegalTransition,
    InvalidInput,
    NotFound,
    Permanent,
    StaleTask,
)
from models.events import Event
from models.failpoints import Failpoint, reach
from models.idempotency import Claim
from models.ids import new_id
from models.object import Object
from models.scope import Scope
from models.states import BatchStatus
from models.stores import Stores
from models.task import Task, TaskType, insert_task
from workers.batches import add_objects, delete_batch
from workers.lifecycle import require_active
from workers.steering import require_priority
from workers.submissions import submit_batch
from workers.task_run import TaskRun

_AT_ONCE: Final = 1000


class Reprocessed(StrEnum):
    """Which objects are processed again."""

    HELD = "HELD"  # those of which the collection holds documents
    BUCKET = "BUCKET"  # all of the bucket that it is made of


async def begin_reprocessing(
    stores: Stores,
    scope: Scope,
    collection_id: str,
    *,
    objects: Reprocessed,
    reuse: bool,
    priority: int = 0,
    claim: Claim | None = None,
) -> tuple[Batch, Task]:
    """Open the draft and the task that fills and submits it.

    Raises:
        NotFound, Conflict: no such collection, or it is being deleted.
        InvalidInput: it is made of more than one bucket, or of none that is there; no such
            priority.
    """
    require_priority(priority)
    collection = await scope.require(Collection, collection_id, path=("id",))
    require_active(collection, path=("id",))
    batch = Batch(
        id=new_id("btc"),
        namespace_id=scope.namespace_id,
        bucket_id=await _bucket_of(scope, collection),
        around=collection.id,
        metadata={"reprocessedCollectionId": collection.id},
        reason=Reason(code="NOT_SUBMITTED", message="Its objects are being added by a task."),
    )
    task = Task(
        id=new_id("tsk"),
        namespace_id=scope.namespace_id,
        type=TaskType.COLLECTION_REPROCESS,
        subject_id=collection.id,
        status=BatchStatus.QUEUED,
        parameters={
            "batch_id": batch.id,
            "objects": str(objects),
            "reuse": reuse,
            "priority": priority,
        },
    )

    async def work(session: Session) -> Event:
        event = await create_batch(session, batch)
        await insert_task(session, task)
        await (claim or Claim()).settle(session, batch_id=batch.id, task_id=task.id)
        return event

    event = await stores.database.transaction(work)
    await reach(Failpoint.TASK_ACCEPTED)
    await stores.bus.announce(event.namespace_id, event.batch_id, event.sequence)
    await stores.bus.ring_tasks(task.id)
    return await scope.require(Batch, batch.id), task


async def recall_reprocessing(scope: Scope, batch_id: str, task_id: str) -> tuple[Batch, Task]:
    """Return what an earlier request began, as it is now."""
    return await scope.require(Batch, batch_id), await scope.require(Task, task_id)


async def _bucket_of(scope: Scope, collection: Collection) -> str:
    """Return the one bucket from which a collection is made, through whatever it reads."""
    found, seen, ahead = set[str](), {collection.id}, [collection]
    while ahead:
        found |= {one.source.bucket_id for one in ahead if one.source.bucket_id is not None}
        read = {each for one in ahead for each in one.source.collection_ids} - seen
        seen |= read
        ahead = list((await scope.find_many(Collection, sorted(read))).values())
    if len(found) != 1:
        raise InvalidInput(
            f"The collection is made of {len(found)} buckets; a batch is of one.",
            path=("id",),
            hint="Create and submit a batch of each bucket.",
        )
    return found.pop()


async def reprocess_job(run: TaskRun) -> None:
    """Fill the draft from where the last attempt came to, and submit it."""
    batch_id = run.task.parameters["batch_id"]
    try:
        await _fill(run, batch_id)
        chosen = run.task.parameters
        await submit_batch(
            run.stores,
            run.scope,
            batch_id,
            reuse=chosen["reuse"],
            priority=chosen.get("priority", 0),  # a task of an earlier version has none
        )
    except StaleTask:
        raise
    except Permanent:
        await _withdraw(run, batch_id)
        raise
    await run.stores.bus.ring_workers(batch_id)


async def _fill(run: TaskRun, batch_id: str) -> None:
    batch = await run.scope.require(Batch, batch_id)
    done = run.task.progress.done
    async for ids, position in _pages(run):
        there = await run.scope.find_many(Object, ids)
        mine = [one for one in ids if one in there and there[one].bucket_id == batch.bucket_id]
        try:
            _, added = await add_objects(run.stores, run.scope, batch_id, mine)
        except IllegalTransition:
            return  # an earlier attempt got as far as to submit it
        except Conflict:
            if (await run.scope.require(Batch, batch_id)).status != BatchStatus.DRAFT:
                return
            raise
        done += added
        await run.mark("objects", done=done, position=position)


async def _pages(run: TaskRun) -> AsyncIterator[tuple[list[str], str]]:
    """Yield ids of objects, some at once, with the place after them; one may come twice."""
    held = Reprocessed(run.task.parameters["objects"]) is Reprocessed.HELD
    after = run.task.position
    while True:
        if held:
            documents = await run.scope.page(
                Document, {"collection_id": run.subject_id}, limit=_AT_ONCE, after=after
            )
            ids = list(dict.fromkeys(one.object_id for one in documents.items))
            last, more = documents.items[-1:], documents.has_next
        else:
            batch = await run.scope.require(Batch, run.task.parameters["batch_id"])
            objects = await run.scope.page(
                Object, {"bucket_id": batch.bucket_id}, limit=_AT_ONCE, after=after
            )
            ids = [one.id for one in objects.items]
            last, more = objects.items[-1:], objects.has_next
        if not last:
            return
        after = last[0].id
        yield ids, after
        if not more:
            return


async def _withdraw(run: TaskRun, batch_id: str) -> None:
    """Delete a draft that cannot be submitted; the task says why."""
    try:
        batch = await run.scope.require(Batch, batch_id)
        if batch.status == BatchStatus.DRAFT:
            await delete_batch(run.stores, run.scope, batch_id)
    except (NotFound, IllegalTransition):
        pass  # somebody else has deleted or submitted it
