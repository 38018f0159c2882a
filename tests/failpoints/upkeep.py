"""The stories of what is there already: filled again, trimmed, deleted with its namespace."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final

from models.errors import NotFound
from models.event_log import EventLog, read_position, read_trimmed
from models.events import STATUS_EVENTS, Event
from models.failpoints import Failpoint as F
from models.states import FINAL
from models.stored import LONG_AGO, now
from models.task import Task
from tests.chaos.checker import check_batch
from tests.chaos.subscriber import Subscriber
from tests.failpoints.life import Life
from tests.failpoints.scene import Scene, ask, points_of
from tests.failpoints.stories import run
from tests.failpoints.story import Story
from tests.failpoints.verdicts import Judge, miscounted, told, unlike
from tests.workers.test_namespace_deletion import age, left_of
from workers.analytics import roll_up_all
from workers.namespace_deletion import delete_namespace
from workers.reprocessing import Reprocessed, begin_reprocessing, recall_reprocessing

_STATUS_TYPES: Final = [str(kind) for kind in STATUS_EVENTS.values()]


async def reprocess(life: Life, scene: Scene) -> None:
    """A collection that is filled again by a batch, and the one that reads it."""
    await ask(
        life,
        scene,
        "reprocessCollection",
        lambda claim: begin_reprocessing(
            life.stores, scene.scope, scene.collections[0].id,
            objects=Reprocessed.HELD, reuse=False, claim=claim,
        ),
        lambda answer: recall_reprocessing(scene.scope, answer["batch_id"], answer["task_id"]),
    )  # fmt: skip

    async def done() -> bool:
        return await _ended(scene, "COLLECTION_REPROCESS") and await scene.settled()

    await life.work_until(done)


async def _ended(scene: Scene, kind: str) -> bool:
    tasks = await scene.scope.all(Task, {"type": kind})
    return bool(tasks) and all(task.status in FINAL for task in tasks)


async def grow_old(life: Life, scene: Scene) -> None:
    """A batch of more than a month ago."""
    await run(life, scene)
    await roll_up_all(life.stores)
    await Event.get_pymongo_collection().update_many(
        {"namespace_id": scene.scope.namespace_id}, {"$set": {"at": now() - timedelta(days=31)}}
    )


async def trim(life: Life, scene: Scene) -> None:
    """The hour is over in which nobody looks at a log, and somebody does."""
    logs = EventLog.get_pymongo_collection()
    mine = {"_id": scene.scope.namespace_id}
    await logs.update_one(mine, {"$set": {"trim_at": LONG_AGO}})

    async def done() -> bool:
        return await logs.count_documents({**mine, "trim_at": {"$gt": now()}}) == 1

    await life.work_until(done)


async def leave(life: Life, scene: Scene) -> None:
    """A namespace that is deleted with its batch; the writers that it had are gone."""
    with suppress(NotFound):  # when it was gone before the client heard that it would be
        await age(await delete_namespace(life.stores, scene.scope))
    await life.work_until(lambda: _ended(scene, "NAMESPACE_DELETE"))


async def reprocessed(judge: Judge, scene: Scene) -> list[str]:
    """A second batch has made every document again, once, and the task says so."""
    batches = sorted(await scene.batches(), key=lambda one: one.id)
    tasks = await scene.scope.all(Task, {"type": "COLLECTION_REPROCESS"})
    statuses = [str(one.status) for one in [*batches, *tasks]]
    if wrong := unlike("two batches and a task", statuses, ["COMPLETED"] * 3):
        return wrong
    second = batches[-1]
    nobody = Subscriber("", "", second.id)
    nobody.ranges = [(1, second.sequence)]
    return [
        *check_batch(judge.raw, second.id, nobody, expected=judge.expected),
        *await miscounted(scene),
        *await told(scene),
    ]


async def trimmed(judge: Judge, scene: Scene) -> list[str]:
    """What is old is gone, what is to stay is there, and readers are told of the hole."""
    mine = {"namespace_id": scene.scope.namespace_id}
    last = await read_position(scene.scope.namespace_id)
    types = judge.raw.mongo.events.distinct("type", mine)
    batch = await scene.batch()
    kept = judge.raw.mongo.events.count_documents({**mine, "batch_id": batch.id})
    return [
        *unlike("types left", [one for one in types if one not in _STATUS_TYPES], []),
        *unlike("changes of status", kept, 4),
        *unlike("told to be missing", await read_trimmed(scene.scope.namespace_id), last),
    ]


async def left(judge: Judge, scene: Scene) -> list[str]:
    """Nothing is there but the task that says so."""
    keys = await scene.stores.artifacts.list_keys(scene.scope.namespace_id, limit=10)
    points = [await points_of(scene, collection) for collection in scene.collections]
    return [
        *unlike("rows", await left_of(scene.scope.namespace_id), {"Task": 1}),
        *unlike("tasks", [str(one.status) for one in await scene.scope.all(Task)], ["COMPLETED"]),
        *unlike("keys", keys, []),
        *unlike("points", points, [0, 0]),
    ]


UPKEEP: Final = (
    Story("reprocess", reprocess,
          (F.TASK_ACCEPTED, F.TASK_CLAIMED, F.BATCH_FILLED, F.TASK_MARKED, F.SUBMIT_FLATTENED,
           F.SUBMIT_BLOCKS_STORED, F.BATCH_QUEUED, F.TASK_DONE, F.BLOCK_COMMITTED),
          before=run),
    Story("trim", trim, (F.LOG_TRIM_CLAIMED, F.LOG_TRIM_TOLD, F.LOG_TRIMMED), before=grow_old),
    Story("leave", leave,
          (F.TASK_ACCEPTED, F.TASK_CLAIMED, F.TASK_MARKED, F.NAMESPACE_EMPTIED, F.TASK_DONE),
          before=run),
)  # fmt: skip
UPKEEP_VERDICTS: Final[Mapping[str, Callable[[Judge, Scene], Awaitable[list[str]]]]] = {
    "reprocess": reprocessed,
    "trim": trimmed,
    "leave": left,
}
