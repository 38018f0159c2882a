"""Deleting a namespace: what refuses it, what it removes, and that a kill costs nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pymongo.asynchronous.collection import AsyncCollection

from models.api_key import ApiKey, KeyScope
from models.audit import AuditEntry
from models.collection import Collection
from models.database import MODELS
from models.document import Document
from models.errors import InUse, NotFound, StoreUnavailable
from models.idempotency import IdempotentRequest
from models.ids import new_id
from models.namespace import Namespace
from models.scope import Scope
from models.stored import now
from models.stores import Stores
from models.task import Task
from tests.factories import make_audit_entry, make_bucket, store
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import Job, inline_engine, open_job, submit
from workers.batches import reconcile
from workers.namespace_deletion import WRITERS_GONE, delete_namespace
from workers.tasks import run_task

KEPT = {Namespace.__name__, AuditEntry.__name__, Task.__name__}


def impatient(stores: Stores) -> Stores:
    """Return the stores with leases that are over at once."""
    worker = stores.settings.worker.model_copy(update={"lease_seconds": 0.001})
    return replace(stores, settings=stores.settings.model_copy(update={"worker": worker}))


async def age(task: Task) -> None:
    """Let the time pass in which somebody might still write."""
    await Task.get_pymongo_collection().update_one(
        {"_id": task.id}, {"$set": {"created_at": now() - WRITERS_GONE}}
    )


async def left_of(namespace_id: str) -> dict[str, int]:
    """Return how many rows of each kind a namespace has."""
    found = {}
    for model in MODELS:
        rows: AsyncCollection[dict[str, object]] = model.get_pymongo_collection()
        mine = {
            "$or": [{"namespace_id": namespace_id}, {"_id": namespace_id}, {"owner": namespace_id}]
        }
        if count := await rows.count_documents(mine):
            found[model.__name__] = count
    return found


async def full_job(stores: Stores, namespace: NamespaceOfTest) -> Job:
    job = await open_job(stores, namespace.scope)
    await submit(stores, job)
    async with inline_engine(stores) as engine:
        await reconcile(stores, engine, job.batch_id)
        await engine.runs[0]
        await reconcile(stores, engine, job.batch_id)
    await store(make_audit_entry(namespace.id))
    return job


async def test_nothing_is_left_of_a_namespace_but_what_happened_to_it(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    """Its neighbour keeps everything."""
    await full_job(stores, namespace)
    neighbour = make_bucket(new_id("ns"))
    await store(neighbour)
    collections = [one.id for one in await namespace.scope.all(Collection)]
    assert await stores.artifacts.list_keys(namespace.id, limit=10)
    assert await namespace.scope.count(Document)

    task = await delete_namespace(stores, namespace.scope)
    await age(task)
    await run_task(stores, task.id)

    ended = await Task.get(task.id)
    assert ended is not None
    assert ended.status == "COMPLETED"
    assert await left_of(namespace.id) == {"AuditEntry": 1, "Task": 1}
    assert await stores.artifacts.list_keys(namespace.id, limit=10) == []
    for collection_id in collections:
        with pytest.raises(StoreUnavailable, match="404"):  # Qdrant has no such collection
            await stores.vectors.count(collection_id)
    assert await left_of(neighbour.namespace_id) == {"Bucket": 1}


async def test_its_keys_may_only_read_from_the_moment_on(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    await delete_namespace(stores, namespace.scope)

    keys = await namespace.scope.all(ApiKey)
    marked = await Namespace.get(namespace.id)
    assert [key.granted for key in keys] == [frozenset({KeyScope.READ})]
    assert marked is not None
    assert marked.deletion_task_id is not None


async def test_asked_again_it_answers_with_the_same_task(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    first, second = [await delete_namespace(stores, namespace.scope) for _ in range(2)]

    assert first.id == second.id


async def test_live_batches_are_in_the_way_unless_forced(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    job = await open_job(stores, namespace.scope)
    await submit(stores, job)
    with pytest.raises(InUse):
        await delete_namespace(stores, namespace.scope)

    task = await delete_namespace(stores, namespace.scope, force=True)
    await age(task)
    await run_task(stores, task.id)

    assert (await left_of(namespace.id)).keys() == {"Task"}


async def test_what_a_late_writer_leaves_is_found(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    """The job does not end before every key that might write is forgotten everywhere."""
    quick = impatient(stores)
    task = await delete_namespace(stores, namespace.scope)
    await run_task(quick, task.id)
    assert await Namespace.get(namespace.id) is not None
    await store(make_bucket(namespace.id))
    await age(task)
    await Task.get_pymongo_collection().update_one(
        {"_id": task.id}, {"$set": {"lease_until": now() - timedelta(seconds=1)}}
    )

    await run_task(quick, task.id)

    assert await left_of(namespace.id) == {"Task": 1}


class Killed(BaseException):
    """Ends a process as kill -9 does: nothing handles it."""


@pytest.mark.parametrize("step", ["vectors", "artifacts", "rows"])
async def test_a_kill_in_any_step_only_delays_it(
    stores: Stores, namespace: NamespaceOfTest, step: str
) -> None:
    await full_job(stores, namespace)
    task = await delete_namespace(stores, namespace.scope)
    await age(task)
    dying = impatient(replace(stores, bus=DyingBus(stores, step)))  # type: ignore[arg-type]
    with pytest.raises(Killed):
        await run_task(dying, task.id)
    reached = await Task.get(task.id)
    assert reached is not None
    assert reached.progress.step == step

    await run_task(stores, task.id)

    assert await left_of(namespace.id) == {"AuditEntry": 1, "Task": 1}
    assert await stores.artifacts.list_keys(namespace.id, limit=10) == []


class DyingBus:
    """The bus of a process that is killed when its task has reached a step."""

    def __init__(self, stores: Stores, step: str) -> None:
        self._bus = stores.bus
        self._step = step

    def __getattr__(self, name: str) -> object:
        return getattr(self._bus, name)

    async def announce_task(self, namespace_id: str, task_id: str, sequence: int) -> None:
        task = await Task.get(task_id)
        assert task is not None
        if task.progress.step == self._step:
            raise Killed
        await self._bus.announce_task(namespace_id, task_id, sequence)


async def test_an_absent_namespace_is_not_found(stores: Stores) -> None:
    with pytest.raises(NotFound):
        await delete_namespace(stores, Scope(new_id("ns")))
    assert await IdempotentRequest.find({"owner": "nobody"}).count() == 0
