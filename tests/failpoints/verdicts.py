"""What must be true after a story, wherever its processes ended; each verdict lists what is wrong.

What became of batches is read by the checker of the chaos runs, which knows the raw stores only.
"""

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from standardwebhooks import Webhook as Verifier

from models.collection import Collection
from models.delivery import Delivery
from models.event_log import read_entries
from models.settings import Settings
from models.task import Task
from models.webhook import public_type
from tests.chaos.checker import Content, RawStores, check_batch, open_raw, read_content
from tests.chaos.subscriber import Subscriber
from tests.failpoints.scene import TEXTS, Scene, points_of

_MANY: Final = 1000
_WORDS: Final = sum(len(text.split()) for text in TEXTS)
_RETRIED: Final = "I1 terminal events ['FAILED', 'COMPLETED']"


@dataclass(frozen=True)
class Judge:
    """The raw stores, and what a batch writes when nothing ends before its time."""

    raw: RawStores
    expected: Content


def open_judge(settings: Settings, endpoints: Mapping[str, str]) -> RawStores:
    """Connect to the raw stores under the names of the tests."""
    raw = open_raw(endpoints)
    return replace(
        raw,
        mongo=raw.client[settings.mongo.database],
        bucket=settings.s3.bucket,
        prefix=settings.qdrant.prefix,
    )


async def rehearsed(raw: RawStores, scene: Scene) -> Judge:
    """Take what a run without any crash has written as what every run must write."""
    content = read_content(raw, (await scene.batch()).id)
    assert len(content) == 2 * _WORDS
    return Judge(raw, content)


async def completed(judge: Judge, scene: Scene) -> list[str]:
    """One batch, completed, with every document once, and everybody told."""
    batches = await scene.batches()
    if len(batches) != 1:
        return [f"{len(batches)} batches"]
    (batch,) = batches
    nobody = Subscriber("", "", batch.id)  # the log is complete: who follows it sees all of it
    nobody.ranges = [(1, batch.sequence)]
    wrong = check_batch(judge.raw, batch.id, nobody, expected=judge.expected)
    return [*wrong, *await miscounted(scene), *await told(scene)]


async def miscounted(scene: Scene) -> list[str]:
    """Name the collections whose count is not that of a batch's documents."""
    return [
        f"{one.name} counts {one.document_count} documents"
        for one in await scene.scope.all(Collection)
        if one.document_count != _WORDS
    ]


async def completed_when_retried(judge: Judge, scene: Scene) -> list[str]:
    """The same after one failure and one retry."""
    wrong = await completed(judge, scene)
    retries = [batch.retries for batch in await scene.batches()]
    return [*(one for one in wrong if one != _RETRIED), *unlike("retries", retries, [1])]


async def canceled(judge: Judge, scene: Scene) -> list[str]:
    """One batch, canceled once, and not a document."""
    batch = await scene.batch()
    events = judge.raw.mongo.events.find({"batch_id": batch.id}, sort=[("sequence", 1)])
    ends = [row["type"] for row in events if row["type"] == "batch.canceled"]
    blocks = judge.raw.mongo.blocks.distinct("status", {"batch_id": batch.id})
    documents = judge.raw.mongo.documents.count_documents({"batch_id": batch.id})
    return [
        *unlike("status", batch.status, "CANCELED"),
        *unlike("ends", ends, ["batch.canceled"]),
        *unlike("blocks", blocks, ["CANCELED"]),
        *unlike("documents", documents, 0),
        *await told(scene),
    ]


async def deleted(judge: Judge, scene: Scene) -> list[str]:
    """The second collection is gone with all that was its own; the first is whole."""
    first, second = scene.collections
    tasks = await scene.scope.all(Task, {"type": "COLLECTION_DELETE"})
    blocks = {"collection_id": second.id, "output": {"$ne": None}}
    return [
        *unlike("tasks", [task.status for task in tasks], ["COMPLETED"]),
        *unlike("collections", [one.id for one in await scene.scope.all(Collection)], [first.id]),
        *unlike("documents", len(await scene.documents(second)), 0),
        *unlike("outputs", judge.raw.mongo.blocks.count_documents(blocks), 0),
        *unlike("points", await points_of(scene, second), 0),
        *unlike("documents beside it", len(await scene.documents(first)), _WORDS),
        *unlike("points beside it", await points_of(scene, first), _WORDS),
    ]


async def rebuilt(judge: Judge, scene: Scene) -> list[str]:
    """Every document has its point again, and no answer from before is given any more."""
    wrong = await completed(judge, scene)
    for collection in await scene.scope.all(Collection):
        if collection.revision < 2:
            wrong.append(f"{collection.name} has the signature of before")
    return wrong


async def told(scene: Scene) -> list[str]:
    """The webhook has heard of everything, each event under one id and with one body."""
    entries = await read_entries(scene.scope.namespace_id, after=0, limit=_MANY)
    wanted = {one.id for one in entries if public_type(one) and scene.webhook.wants(one)}
    verifier = Verifier(scene.stores.seal.open(scene.webhook.secrets[0].sealed))
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for request in scene.receiver.requests:
        if json.loads(request.body)["namespaceId"] == scene.scope.namespace_id:
            verifier.verify(request.body, request.headers)
            bodies[request.headers["webhook-id"]].add(request.body)
    states = {str(one.status) for one in await scene.scope.all(Delivery)}
    return [
        *unlike("events told", set(bodies), wanted),
        *unlike("bodies of one event", {len(one) for one in bodies.values()}, {1}),
        *unlike("deliveries", states, {"DELIVERED"}),
    ]


def unlike(what: str, found: Any, wanted: Any) -> list[str]:
    """Say how something differs from what it must be; nothing when it does not."""
    return [] if found == wanted else [f"{what}: {found} instead of {wanted}"]


VERDICTS: Final[Mapping[str, Callable[[Judge, Scene], Awaitable[list[str]]]]] = {
    "run": completed,
    "trouble": completed,
    "failure": completed_when_retried,
    "cancel": canceled,
    "delete": deleted,
    "rebuild": rebuilt,
    "schedule": completed,
}
