"""Deleting buckets and collections: refused while something lives on them, else a tracked task.

Accepting is one transaction: the thing is marked, so that nothing new refers to it, and its task is
stored. Each step below looks for what is left of its kind and removes a chunk of it, so a task that
dies goes on where it was, and a step that runs twice does no harm. What readers find by comes
first, the mark itself last.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession

from models.batch import Batch
from models.block import Block
from models.bucket import Bucket
from models.collection import Collection
from models.document import Document
from models.errors import InUse, NotFound
from models.failpoints import Failpoint, reach
from models.ids import new_id
from models.object import Object
from models.scope import Scope
from models.states import FINAL, LIVE, BatchStatus, Lifecycle
from models.stores import Stores
from models.task import Task, TaskType, insert_task
from workers.batches import end_batch
from workers.caches import CacheScope, drop_answers
from workers.object_log import remove_objects
from workers.orphans import output_keys
from workers.task_run import TaskRun
from workers.uploads import delete_uploads

_CHUNK: Final = 1000
_FEW: Final = 50  # batches at once, and collections named in an error


async def delete_bucket(
    stores: Stores, scope: Scope, bucket_id: str, *, force: bool = False
) -> Task:
    """Begin to delete a bucket with its objects; asked again, answer with the same task.

    Its drafts go with it. Ended batches and documents stay; collections that read it stay too.

    Raises:
        NotFound: no such bucket.
        InUse: live batches read it, and `force`, which cancels them, was not given.
    """
    bucket = await scope.require(Bucket, bucket_id, path=("id",))

    async def work(session: AsyncClientSession) -> Task:
        live = await _live_batches(session, scope, {"bucket_id": bucket_id})
        if live and not force:
            raise _in_use(f"Bucket {bucket.name!r}", live)
        return await _accept(session, bucket, TaskType.BUCKET_DELETE)

    return await _begin(stores, work)


async def delete_collection(
    stores: Stores, scope: Scope, collection_id: str, *, force: bool = False
) -> Task:
    """Begin to delete a collection with its documents; asked again, answer with the same task.

    Raises:
        NotFound: no such collection.
        InUse: live batches write it, and `force`, which cancels them, was not given; or other
            collections read it, with or without `force`.
    """
    collection = await scope.require(Collection, collection_id, path=("id",))

    async def work(session: AsyncClientSession) -> Task:
        readers = await _readers(session, scope, collection_id)
        if readers:
            raise InUse(
                f"Collection {collection.name!r} is read by {', '.join(readers)}.",
                path=("id",),
                hint="Delete those first.",
            )
        live = await _live_batches(session, scope, {"tiers.collection_ids": collection_id})
        if live and not force:
            raise _in_use(f"Collection {collection.name!r}", live)
        return await _accept(session, collection, TaskType.COLLECTION_DELETE)

    return await _begin(stores, work)


async def _begin(stores: Stores, work: Callable[[AsyncClientSession], Awaitable[Task]]) -> Task:
    task = await stores.database.transaction(work)
    await reach(Failpoint.TASK_ACCEPTED)
    await stores.bus.ring_tasks(task.id)
    return task


async def _accept(session: AsyncClientSession, item: Bucket | Collection, kind: TaskType) -> Task:
    """Mark a thing and store the task of its deletion, or return the task that is under way."""
    things = type(item).get_pymongo_collection()
    row = await things.find_one({"_id": item.id}, {"deletion_task_id": 1}, session=session)
    if row is None:
        raise NotFound(f"No {type(item).__name__.lower()} {item.id!r} here.", path=("id",))
    known = await Task.get_pymongo_collection().find_one(
        {"_id": row.get("deletion_task_id"), "status": {"$nin": sorted(FINAL)}}, session=session
    )
    if known is not None:
        under_way: Task = Task.model_validate(known)
        return under_way
    task = Task(
        id=new_id("tsk"),
        namespace_id=item.namespace_id,
        type=kind,
        subject_id=item.id,
        status=BatchStatus.QUEUED,
    )
    mark = {"lifecycle": str(Lifecycle.DELETING), "deletion_task_id": task.id}
    await things.update_one({"_id": item.id}, {"$set": mark}, session=session)
    await insert_task(session, task)
    return task


async def _live_batches(
    session: AsyncClientSession, scope: Scope, match: Mapping[str, Any]
) -> list[str]:
    found = Batch.get_pymongo_collection().find(
        {**match, "namespace_id": scope.namespace_id, "status": {"$in": sorted(LIVE)}},
        {"_id": 1},
        limit=_FEW,
        session=session,
    )
    return [row["_id"] async for row in found]


async def _readers(session: AsyncClientSession, scope: Scope, collection_id: str) -> list[str]:
    found = Collection.get_pymongo_collection().find(
        {"namespace_id": scope.namespace_id, "source.collection_ids": collection_id},
        {"name": 1},
        limit=_FEW,
        session=session,
    )
    return [repr(row["name"]) async for row in found]


def _in_use(what: str, batch_ids: list[str]) -> InUse:
    return InUse(
        f"{what} is in use by live batches: {', '.join(batch_ids[:5])}.",
        path=("id",),
        hint="Wait for them, cancel them, or send `force: true`, which cancels them.",
    )


async def delete_bucket_job(run: TaskRun) -> None:
    """Delete a marked bucket and everything in it."""
    if await run.scope.find(Bucket, run.subject_id) is not None:  # else killed at the very end
        await empty_bucket(run, run.subject_id)
    await Bucket.get_pymongo_collection().delete_one(_mine(run, {"_id": run.subject_id}))


async def delete_collection_job(run: TaskRun) -> None:
    """Delete a marked collection and everything in it."""
    await empty_collection(run, run.subject_id)
    await Collection.get_pymongo_collection().delete_one(_mine(run, {"_id": run.subject_id}))
    await drop_answers(
        run.stores.answers, run.task.namespace_id, CacheScope.COLLECTION, run.subject_id
    )


async def empty_bucket(run: TaskRun, bucket_id: str) -> None:
    """End a bucket's batches, then remove its manifests, which quote objects, and its objects."""
    live_or_draft = {"$in": sorted([*LIVE, BatchStatus.DRAFT])}
    await _end_batches(run, {"bucket_id": bucket_id, "status": live_or_draft})
    await _delete_manifests(run, bucket_id)
    await _delete_objects(run, bucket_id)
    while await delete_uploads(run.stores, run.scope, bucket_id):
        await run.mark("uploads")


async def empty_collection(run: TaskRun, collection_id: str) -> None:
    """End the batches that write a collection, then remove documents, artifacts and points.

    Documents go first: with them gone nothing of the rest can be found any more.
    """
    live = {"$in": sorted(LIVE)}
    await _end_batches(run, {"tiers.collection_ids": collection_id, "status": live})
    await _delete_documents(run, collection_id)
    await _delete_outputs(run, collection_id)
    await run.mark("vectors")
    await run.stores.vectors.drop(collection_id)


async def _end_batches(run: TaskRun, match: Mapping[str, Any]) -> None:
    """Cancel live batches and delete drafts until there are none."""
    done = 0
    while batches := (await run.scope.page(Batch, match, limit=_FEW)).items:
        for batch in batches:
            await end_batch(run.stores, run.scope, batch)
            done += 1
            await run.mark("batches", done=done)


async def _delete_manifests(run: TaskRun, bucket_id: str) -> None:
    done = 0
    match = {"bucket_id": bucket_id, "artifacts.0": {"$exists": True}}
    while batches := (await run.scope.page(Batch, match, limit=_FEW)).items:
        for batch in batches:
            await run.stores.artifacts.delete_keys([artifact.key for artifact in batch.artifacts])
            await Batch.get_pymongo_collection().update_one(
                _mine(run, {"_id": batch.id}), {"$set": {"artifacts": []}}
            )
        done += len(batches)
        await run.mark("manifests", done=done)


async def _delete_objects(run: TaskRun, bucket_id: str) -> None:
    bucket = await run.scope.require(Bucket, bucket_id)
    match = {"bucket_id": bucket_id}
    total, done = await run.scope.count(Object, match), 0
    while ids := await _ids(run, Object, match):
        await run.stores.database.transaction(partial(remove_objects, bucket, ids))
        await run.stores.bus.announce_log(bucket.namespace_id)
        done += len(ids)
        await run.mark("objects", done=done, total=max(total, done))


async def _delete_documents(run: TaskRun, collection_id: str) -> None:
    match = {"collection_id": collection_id}
    total, done = await run.scope.count(Document, match), 0
    while ids := await _ids(run, Document, match):
        await run.stores.database.transaction(partial(_remove_documents, run, collection_id, ids))
        done += len(ids)
        await run.mark("documents", done=done, total=max(total, done))


async def _remove_documents(
    run: TaskRun, collection_id: str, ids: list[str], session: AsyncClientSession
) -> None:
    """Delete documents and give the collection another signature: no cached answer has them."""
    removed = await Document.get_pymongo_collection().delete_many(
        _mine(run, {"_id": {"$in": ids}}), session=session
    )
    await Collection.get_pymongo_collection().update_one(
        _mine(run, {"_id": collection_id}),
        {"$inc": {"document_count": -removed.deleted_count, "revision": 1}},
        session=session,
    )


async def _ids(
    run: TaskRun, model: type[Object] | type[Document], match: Mapping[str, Any]
) -> list[str]:
    found = model.get_pymongo_collection().find(_mine(run, match), {"_id": 1}, limit=_CHUNK)
    return [row["_id"] async for row in found]


async def _delete_outputs(run: TaskRun, collection_id: str) -> None:
    """Delete the outputs of every attempt at the collection's blocks; the counts stay."""
    position = run.task.position if run.task.progress.step == "artifacts" else None
    done = run.task.progress.done if position else 0
    while True:
        page = await run.scope.page(
            Block, {"collection_id": collection_id}, limit=_CHUNK, after=position
        )
        await run.stores.artifacts.delete_keys(
            [key for one in page.items for key in output_keys(one)]
        )
        await Block.get_pymongo_collection().update_many(
            _mine(run, {"_id": {"$in": [block.id for block in page.items]}}),
            {"$set": {"output": None}},
        )
        if page.items:
            done, position = done + len(page.items), page.items[-1].id
            await run.mark("artifacts", done=done, position=position)
        if not page.has_next:
            return


def _mine(run: TaskRun, match: Mapping[str, Any]) -> dict[str, Any]:
    return {**match, "namespace_id": run.task.namespace_id}
