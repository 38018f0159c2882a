"""What a story happens to: a bucket with texts, two collections in a chain, a webhook."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.artifacts import ArtifactStore
from models.batch import Batch
from models.bucket import Bucket
from models.collection import Collection
from models.delivery import Delivery
from models.document import Document
from models.errors import ArtifactCorrupt, NotFound, StoreUnavailable
from models.events import Event
from models.idempotency import Claim
from models.object import Object
from models.scope import Scope
from models.states import FINAL
from models.stores import Stores
from models.webhook import Webhook
from tests.engine.batches import texts_in, words_of
from tests.factories import make_bucket, store
from tests.failpoints.life import Life
from tests.receiver import Receiver
from tests.workers.hooks import hook
from workers.batches import open_batch
from workers.idempotency import Request, once
from workers.submissions import replay_submission, submit_batch

TEXTS = ("a b", "c", "d e")


@dataclass(frozen=True)
class Scene:
    """Handles of one story."""

    stores: Stores
    scope: Scope
    receiver: Receiver
    webhook: Webhook
    bucket: Bucket
    collections: list[Collection]
    objects: list[Object]

    async def batches(self) -> list[Batch]:
        """Return every batch of the namespace."""
        return await self.scope.all(Batch)

    async def batch(self) -> Batch:
        """Return the only batch."""
        (found,) = await self.batches()
        return found

    async def documents(self, collection: Collection) -> list[Document]:
        """Return what a collection holds."""
        return await self.scope.all(Document, {"collection_id": collection.id})

    async def settled(self) -> bool:
        """Tell whether every batch has ended and everybody has been told."""
        batches = await self.batches()
        return (
            bool(batches) and all(one.status in FINAL for one in batches) and await self.all_told()
        )

    async def all_told(self) -> bool:
        """Tell whether everybody has been told of everything."""
        return not await self.scope.count(Event, {"position": 0}) and not await self.scope.count(
            Delivery, {"status": "PENDING"}
        )


async def set_scene(stores: Stores, scope: Scope, receiver: Receiver) -> Scene:
    """Make everything that a batch needs."""
    bucket = make_bucket(scope.namespace_id)
    objects = texts_in(bucket, TEXTS)
    first = words_of(bucket)
    collections = [first, words_of([first], name="second")]
    await store(bucket, *collections, *objects)
    webhook = await hook(stores, scope, receiver)
    return Scene(stores, scope, receiver, webhook, bucket, collections, objects)


async def ask(
    life: Life,
    scene: Scene,
    operation: str,
    work: Callable[[Claim], Awaitable[Any]],
    recall: Callable[[dict[str, Any]], Awaitable[Any]],
) -> Any:
    """Ask as a client does who repeats a request under its key until it hears an answer."""
    request = Request(scene.scope.namespace_id, operation, key="once", sha256="0")
    return (await once(life.stores.settings.api, request, work, recall)).value


async def submit(life: Life, scene: Scene) -> Batch:
    """Create a batch of the scene's objects and submit it."""

    async def create(claim: Claim) -> Batch:
        return await open_batch(
            life.stores, scene.scope,
            bucket_id=scene.bucket.id, name="", metadata={},
            object_ids=[one.id for one in scene.objects], claim=claim,
        )  # fmt: skip

    async def recall(answer: dict[str, Any]) -> Batch:
        return await scene.scope.require(Batch, answer["batch_id"])

    batch: Batch = await ask(life, scene, "createBatch", create, recall)
    await ask(
        life,
        scene,
        "submitBatch",
        lambda claim: submit_batch(life.stores, scene.scope, batch.id, claim=claim),
        lambda answer: replay_submission(scene.scope, answer["batch_id"]),
    )
    return batch


class Artifacts:
    """S3 that fails once for the output of a block, or has lost the manifests."""

    def __init__(self, real: ArtifactStore, *, failures: int = 0, lost: bool = False) -> None:
        self._real = real
        self._failures = failures
        self.lost = lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def create(self, key: str, path: Path, *, sha256: str) -> None:
        """Create a key, unless there are failures left."""
        if "/output/" in key and self._failures:
            self._failures -= 1
            raise StoreUnavailable("S3 is away for a moment.")
        await self._real.create(key, path, sha256=sha256)

    async def read(self, key: str, *, sha256: str) -> bytes:
        """Read a key, unless it is lost."""
        if self.lost and "/part-" in key:
            raise ArtifactCorrupt(f"Artifact {key} is gone from S3.")
        return await self._real.read(key, sha256=sha256)


def over(stores: Stores, artifacts: Artifacts) -> Stores:
    """Return the stores with another S3."""
    changed: dict[str, Any] = {"artifacts": artifacts}
    return replace(stores, **changed)


async def points_of(scene: Scene, collection: Collection) -> int:
    """Return how many points a collection has; none when Qdrant does not know it."""
    with suppress(NotFound, StoreUnavailable):
        return await scene.stores.vectors.count(collection.id)
    return 0
