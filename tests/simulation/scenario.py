"""What clients do in one run: which batches of what, submitted, canceled, tried again.

Clients repeat what was not answered under the same key, as the documentation tells them to.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar, cast

from pymongo.errors import PyMongoError

from models.batch import Batch
from models.bucket import Bucket
from models.collection import Collection, InputMapping
from models.errors import Conflict, IllegalTransition, StrataError
from models.ids import new_id
from models.object import Blob, Object
from models.scope import Scope
from models.sealing import Seal
from models.states import Hold
from models.stored import Stored
from models.stores import Stores
from models.turns import HIGHEST_PRIORITY, LOWEST_PRIORITY
from models.webhook import Webhook, WebhookSecret
from tests.factories import make_bucket, make_collection, make_object, make_webhook
from tests.simulation.extractors import BUSY, POISON, VECTOR, choose_words
from tests.simulation.nodes import SETTINGS, Api, Cluster
from workers.batches import CancelMode, cancel_batch, open_batch
from workers.idempotency import Outcome, Request, once
from workers.reopening import RetryChoice, RetryMode
from workers.retries import replay_retry, retry_batch
from workers.steering import pause_batch, resume_batch, set_batch_priority
from workers.submissions import replay_submission, submit_batch

T = TypeVar("T")
SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_WORDS: Final = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen")
_AGAIN_SECONDS: Final = 2.0
_PAUSED: Final = "on hold"
_DEADLINES: Final = (30.0, 150.0)
_ENDED: Final = frozenset({"COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "CANCELED"})


@dataclass
class Tenant:
    """One namespace: a bucket with objects, a chain of collections, a webhook."""

    namespace_id: str
    bucket: Bucket
    texts: dict[str, str]  # by object
    chain: list[Collection]
    webhook: Webhook
    rows: list[Stored] = field(default_factory=list)  # to be stored before anything begins

    @property
    def scope(self) -> Scope:
        """The namespace, seen from inside."""
        return Scope(self.namespace_id)


@dataclass(frozen=True)
class Step:
    """One thing that a client does to its batch while it runs."""

    name: str
    after: float  # the step before
    priority: int = 0  # that it is given


@dataclass
class Order:
    """One batch as its client knows it."""

    number: int
    tenant: Tenant
    object_ids: list[str]
    begins: float
    cancels: float | None  # after the last step
    mode: CancelMode
    priority: int
    deadline: float | None  # in seconds once it is queued
    steps: list[Step]  # once it is submitted
    retries: int  # how often its client has it tried again when it has ended
    hasty: bool  # its client asks twice at once
    batch_id: str | None = None
    canceled: bool = False


def draw_tenants(chance: random.Random) -> list[Tenant]:
    """Return the namespaces of a run."""
    return [_draw_tenant(chance) for _ in range(chance.choice((1, 1, 2)))]


def _draw_tenant(chance: random.Random) -> Tenant:
    namespace_id = new_id("ns")
    bucket = make_bucket(namespace_id)
    texts: dict[str, str] = {}
    objects: list[Object] = []
    number_of_objects = chance.randint(1, 7)
    poisoned = chance.randrange(2 * number_of_objects)  # one at most: more would end a batch early
    for number in range(number_of_objects):
        text = _draw_text(chance, number) + f" {POISON}" * (number == poisoned)
        item = make_object(bucket, metadata={}, blobs=[Blob(property="content", text=text)])
        texts[item.id] = text
        objects.append(item)
    chain: list[Collection] = []
    for tier in range(chance.randint(1, 3)):
        chain.append(
            make_collection(
                bucket if tier == 0 else [chain[-1]],
                extractor=choose_words(),
                input_mappings=[InputMapping(input="text", path="word" if tier else "content")],
                passthrough=[],
                vectors=[VECTOR],
            )
        )
    webhook = make_webhook(
        namespace_id,
        url=f"https://{namespace_id.lower()}.example/",
        secrets=[WebhookSecret(sealed=Seal(SETTINGS.sealing_keys).close(SECRET))],
    )
    return Tenant(namespace_id, bucket, texts, chain, webhook, [bucket, webhook, *objects, *chain])


def _draw_text(chance: random.Random, number: int) -> str:
    words = [chance.choice(_WORDS) for _ in range(chance.randint(1, 3))]
    if chance.random() < 0.2:
        return " ".join([f"{BUSY}{number}", *words])
    return " ".join(words)


def draw_orders(chance: random.Random, tenants: list[Tenant], seconds: float) -> list[Order]:
    """Return the batches of a run, begun within some seconds."""
    orders = []
    for number in range(chance.randint(1, 3)):
        tenant = chance.choice(tenants)
        ids = sorted(tenant.texts)
        chosen = sorted(chance.sample(ids, chance.randint(1, len(ids))))
        cancels = chance.random() * seconds / 2 if chance.random() < 0.2 else None
        order = Order(
            number,
            tenant,
            chosen,
            begins=chance.random() * seconds / 2,
            cancels=cancels,
            mode=chance.choice((CancelMode.FORCE, CancelMode.SAFE)),
            priority=_draw_priority(chance),
            deadline=chance.uniform(*_DEADLINES) if chance.random() < 0.2 else None,
            steps=_draw_steps(chance, seconds),
            retries=chance.choice((0, 0, 1, 2)),
            hasty=chance.random() < 0.3,
        )
        orders.append(order)
    return orders


def _draw_steps(chance: random.Random, seconds: float) -> list[Step]:
    steps = []
    for number in range(chance.choice((0, 0, 0, 1, 2))):
        steps.append(Step(f"pause {number}", chance.random() * seconds / 2))
        steps.append(Step(f"resume {number}", chance.random() * seconds))
    if chance.random() < 0.3:
        step = Step("priority", chance.random() * seconds / 2, _draw_priority(chance))
        steps.insert(chance.randint(0, len(steps)), step)
    return steps


def _draw_priority(chance: random.Random) -> int:
    return chance.choice((0, 0, chance.randint(LOWEST_PRIORITY, HIGHEST_PRIORITY)))


class Client:
    """Somebody with one batch."""

    def __init__(self, cluster: Cluster, order: Order) -> None:
        self._cluster = cluster
        self.order = order

    async def run(self) -> None:
        """Create and submit the batch, steer or cancel it if that is the plan, and see it end."""
        order = self.order
        await asyncio.sleep(order.begins)
        order.batch_id = await self._insist("create", self._create)
        await self._insist("submit", self._submit)
        self._cluster.ring(order.batch_id)
        for step in order.steps:
            await asyncio.sleep(step.after)
            with contextlib.suppress(IllegalTransition):  # it has ended
                await self._insist(step.name, partial(self._steer, step))
        if order.cancels is not None:
            await asyncio.sleep(order.cancels)
            order.canceled = (await self._insist("cancel", self._cancel)) != "ended"
        await self.ended()
        for number in range(order.retries):
            if await self.retry_all(f"early {number}"):
                order.canceled = False
            await self.ended()

    async def ended(self) -> str:
        """Wait for an end; returns which one."""
        while True:
            status = await self._insist("look", self._look)
            if status in _ENDED:
                return status
            if status == _PAUSED:  # by a request that came late
                with contextlib.suppress(IllegalTransition):
                    await self._insist("resume", self._resume)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def retry_all(self, name: str) -> bool:
        """Have everything tried again that failed; False when there is nothing."""
        try:
            await self._insist(f"retry {name}", self._retry)
        except (Conflict, IllegalTransition):
            return False
        return True

    async def _insist(self, key: str, work: Callable[[Stores, str], Awaitable[T]]) -> T:
        """Ask until an answer comes, always under the same key."""
        while True:
            api = cast(Api, self._cluster.nodes["api"])
            try:
                if api.process.alive:
                    if self.order.hasty:
                        api.run(partial(self._beside, work, api.stores, key))
                    return await api.ask(lambda stores: work(stores, key))
            except (Conflict, IllegalTransition):
                raise
            except Exception as error:
                self._cluster.network.note(
                    api.process, "client", f"{self.order.number} {key}", repr(error)
                )
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _beside(
        self, work: Callable[[Stores, str], Awaitable[object]], stores: Stores, key: str
    ) -> None:
        with contextlib.suppress(StrataError, PyMongoError):  # the other one is looked at
            await work(stores, key)

    async def _once(
        self,
        stores: Stores,
        key: str,
        work: Callable[[Any], Awaitable[T]],
        recall: Callable[[dict[str, Any]], Awaitable[T]],
    ) -> T:
        request = Request(
            self.order.tenant.namespace_id, key, f"{self.order.number}", "the same input"
        )
        outcome: Outcome[T] = await once(stores.settings.api, request, work, recall)
        return outcome.value

    async def _create(self, stores: Stores, key: str) -> str:
        order = self.order
        scope = order.tenant.scope
        batch = await self._once(
            stores,
            key,
            lambda claim: open_batch(
                stores, scope, bucket_id=order.tenant.bucket.id, name="", metadata={},
                object_ids=order.object_ids, claim=claim,
            ),
            lambda made: scope.require(Batch, made["batch_id"]),
        )  # fmt: skip
        return str(batch.id)

    async def _submit(self, stores: Stores, key: str) -> None:
        order, scope = self.order, self.order.tenant.scope
        batch_id = order.batch_id or ""
        await self._once(
            stores,
            key,
            lambda claim: submit_batch(
                stores, scope, batch_id, priority=order.priority,
                deadline_seconds=order.deadline, claim=claim,
            ),
            lambda made: replay_submission(scope, made["batch_id"]),
        )  # fmt: skip

    async def _steer(self, step: Step, stores: Stores, key: str) -> None:
        scope, batch_id = self.order.tenant.scope, self.order.batch_id or ""
        if step.name.startswith("pause"):
            await pause_batch(stores, scope, batch_id)
        elif step.name.startswith("resume"):
            await resume_batch(stores, scope, batch_id)
        else:
            await set_batch_priority(stores, scope, batch_id, step.priority)

    async def _resume(self, stores: Stores, key: str) -> None:
        await resume_batch(stores, self.order.tenant.scope, self.order.batch_id or "")

    async def _cancel(self, stores: Stores, key: str) -> str:
        scope, batch_id = self.order.tenant.scope, self.order.batch_id or ""
        batch = await cancel_batch(stores, scope, batch_id, mode=self.order.mode)
        stopping = batch.hold is Hold.STOPPING
        return "canceled" if stopping or batch.status in ("CANCELING", "CANCELED") else "ended"

    async def _retry(self, stores: Stores, key: str) -> None:
        scope, batch_id = self.order.tenant.scope, self.order.batch_id or ""
        await self._once(
            stores,
            key,
            lambda claim: retry_batch(
                stores, scope, batch_id, RetryChoice(RetryMode.ALL), claim=claim
            ),
            lambda made: replay_retry(scope, made),
        )

    async def _look(self, stores: Stores, key: str) -> str:
        batch = await self.order.tenant.scope.require(Batch, self.order.batch_id or "")
        return _PAUSED if batch.hold is Hold.PAUSED else str(batch.status)
