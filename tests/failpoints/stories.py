"""The stories of batches: what is done from a client's request to the last webhook.

Each can be told again from its beginning, as a client repeats a request and a worker its sweep.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Final

from engine.rebuild import rebuild_collection
from models.block import Block
from models.errors import NotFound
from models.failpoints import Failpoint as F
from models.schedule import CatchUp, Overlap, Schedule, ScheduleRun, Selection
from models.states import FINAL
from models.stored import now
from models.task import Task
from tests.failpoints.life import Life
from tests.failpoints.scene import Artifacts, Scene, ask, over, submit
from tests.failpoints.story import Story
from workers.batches import cancel_batch
from workers.deletions import delete_collection
from workers.reopening import RetryChoice, RetryMode
from workers.retries import replay_retry, retry_batch
from workers.schedules import ScheduleDraft, open_schedule

_RUN: Final = (
    F.REQUEST_CLAIMED, F.SUBMIT_FLATTENED, F.SUBMIT_BLOCKS_STORED, F.BATCH_QUEUED,
    F.REQUEST_SETTLED, F.BATCH_CLAIMED, F.BATCH_HANDED_OVER, F.RUN_GOES_ON, F.BLOCK_CLAIMED,
    F.BLOCK_EXTRACTED, F.ARTIFACT_STORED, F.POINTS_STORED, F.BLOCK_COMMITTED, F.BATCH_JUDGED,
    F.BATCH_MOVED, F.LOG_PLACED, F.DELIVERY_BEGUN, F.DELIVERY_SENT, F.DELIVERY_ENDED,
)  # fmt: skip


async def run(life: Life, scene: Scene) -> None:
    """A batch from its creation to the last webhook."""
    await submit(life, scene)
    await life.work_until(scene.settled)


async def trouble(life: Life, scene: Scene) -> None:
    """The same while S3 is away for a moment."""
    tried = await scene.scope.count(Block, {"attempts": {"$gt": 0}})
    life.stores = over(life.stores, Artifacts(life.stores.artifacts, failures=0 if tried else 1))
    await run(life, scene)


async def failure(life: Life, scene: Scene) -> None:
    """A batch that fails because its manifest is gone, and is retried when it is there again."""
    s3 = Artifacts(life.stores.artifacts)
    life.stores = over(life.stores, s3)
    batch = await submit(life, scene)
    s3.lost = (await scene.batch()).retries == 0
    if s3.lost:
        await life.work_until(scene.settled)
    s3.lost = False
    await ask(
        life,
        scene,
        "retryBatch",
        lambda claim: retry_batch(
            life.stores, scene.scope, batch.id, RetryChoice(RetryMode.ALL), claim=claim
        ),
        lambda answer: replay_retry(scene.scope, answer),
    )
    await life.work_until(scene.settled)


async def cancel(life: Life, scene: Scene) -> None:
    """A batch that is canceled before a worker has seen it."""
    batch = await submit(life, scene)
    await cancel_batch(life.stores, scene.scope, batch.id)
    await life.work_until(scene.settled)


async def delete(life: Life, scene: Scene) -> None:
    """The deletion of a collection with its documents."""
    with suppress(NotFound):  # when it was deleted before the client heard that it would be
        await delete_collection(life.stores, scene.scope, scene.collections[1].id)

    async def done() -> bool:
        tasks = await scene.scope.all(Task, {"type": "COLLECTION_DELETE"})
        return all(task.status in FINAL for task in tasks)

    await life.work_until(done)


async def lose_points(life: Life, scene: Scene) -> None:
    """A batch whose points Qdrant has lost afterwards."""
    await run(life, scene)
    for collection in scene.collections:
        await scene.stores.vectors.drop(collection.id)


async def rebuild(life: Life, scene: Scene) -> None:
    """The points of a collection from its artifacts."""
    for collection in scene.collections:
        await rebuild_collection(life.stores, collection, report=lambda _: None)


async def plan(life: Life, scene: Scene) -> None:
    """A schedule that is due."""
    made = await open_schedule(
        life.stores,
        scene.scope,
        ScheduleDraft(
            name="hourly", bucket_id=scene.bucket.id, cron=None, every_seconds=3600,
            time_zone="UTC", selection=Selection.CHANGED, overlap=Overlap.SKIP,
            catch_up=CatchUp.LATEST, include_processing_history=False,
        ),
    )  # fmt: skip
    due = {"$set": {"next_at": now() - timedelta(seconds=1), "anchor": now()}}
    await Schedule.get_pymongo_collection().update_one({"_id": made.id}, due)


async def schedule(life: Life, scene: Scene) -> None:
    """The batch of a schedule."""

    async def done() -> bool:
        runs = await scene.scope.all(ScheduleRun)
        ended = bool(runs) and all(one.finished_at is not None for one in runs)
        return ended and await scene.settled()

    await life.work_until(done)


BATCHES: Final = (
    Story("run", run, _RUN),
    Story("trouble", trouble, (F.BLOCK_RELEASED,), _RUN),
    Story("failure", failure, (F.BLOCK_FAILED, F.BATCH_REOPENED), _RUN),
    Story("cancel", cancel, (F.BATCH_CANCELING,), (F.REQUEST_SETTLED, F.BATCH_MOVED, F.LOG_PLACED)),
    Story("delete", delete, (F.TASK_ACCEPTED, F.TASK_CLAIMED, F.TASK_MARKED, F.TASK_DONE),
          before=run),
    Story("rebuild", rebuild, (F.POINTS_REBUILT,), before=lose_points),
    Story("schedule", schedule,
          (F.SCHEDULE_MOVED_ON, F.SCHEDULE_RUN_BEGUN, F.SCHEDULE_RUN_SUBMITTED), _RUN,
          before=plan),
)  # fmt: skip
