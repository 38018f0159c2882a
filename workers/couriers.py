"""Delivers what waits, webhook by webhook: a dead endpoint holds up its own deliveries only.

One process at a time calls a webhook, at most four requests at once, and one at a time while its
breaker is trying it. Woken by whoever wrote deliveries; the sweep makes up for a lost call.
"""

import asyncio
import logging
from functools import partial
from typing import Final

from pymongo.errors import PyMongoError

from models.delivery import Delivery, read_due, read_waiting_webhooks
from models.ending import end_tasks
from models.stores import Stores
from models.webhook import Webhook, claim_webhook, release_webhook, renew_webhook
from workers.deliveries import deliver

logger = logging.getLogger(__name__)
CONCURRENCY: Final = 4  # requests to one webhook
_WEBHOOKS: Final = 200  # called at a time
_CHUNK: Final = 40
_LEASE_SECONDS: Final = 60.0
_RENEW_SECONDS: Final = 15.0


class Couriers:
    """One process's deliveries: a task for each webhook that has any."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._running: dict[str, asyncio.Task[None]] = {}
        self._woken: set[str] = set()
        self._gate = asyncio.Semaphore(_WEBHOOKS)

    def wake(self, webhook_id: str) -> None:
        """See to a webhook now, or again when it is being seen to."""
        self._woken.add(webhook_id)
        if webhook_id not in self._running:
            task = asyncio.create_task(self._run(webhook_id), name=f"courier-{webhook_id}")
            self._running[webhook_id] = task
            # Not in the task: one that is canceled before it began runs no line.
            task.add_done_callback(partial(self._end, webhook_id))

    def _end(self, webhook_id: str, task: asyncio.Task[None]) -> None:
        del self._running[webhook_id]
        if webhook_id in self._woken and not task.cancelled():  # woken in its very last moment
            self.wake(webhook_id)

    async def sweep(self) -> None:
        """Wake whatever webhook has deliveries that are due."""
        for webhook_id in await read_waiting_webhooks():
            if webhook_id not in self._running and await read_due(webhook_id, limit=1):
                self.wake(webhook_id)

    async def idle(self) -> None:
        """Wait until nothing is being delivered."""
        while running := list(self._running.values()):
            await asyncio.wait(running)
            await asyncio.sleep(0)  # their callbacks come after

    async def aclose(self) -> None:
        """Stop; what was under way is tried again when its lease is over."""
        await end_tasks(*self._running.values())
        await self.idle()

    async def _run(self, webhook_id: str) -> None:
        try:
            async with self._gate:
                while webhook_id in self._woken:
                    self._woken.discard(webhook_id)
                    await deliver_due(self._stores, webhook_id)
        except PyMongoError as error:
            logger.warning("Webhook %s: %s: %s", webhook_id, type(error).__name__, error)
        except Exception:  # one odd webhook must not end the deliveries to the others
            logger.exception("Webhook %s", webhook_id)


async def deliver_due(stores: Stores, webhook_id: str) -> None:
    """Deliver what is due to one webhook, unless another process does or its breaker is open."""
    webhook = await claim_webhook(webhook_id, lease_seconds=_LEASE_SECONDS)
    if webhook is None:
        return
    try:
        await _Round(stores, webhook).run()
    finally:
        await release_webhook(webhook)


class _Round:
    """The deliveries of one webhook under one lease."""

    def __init__(self, stores: Stores, webhook: Webhook) -> None:
        self._stores = stores
        self._webhook = webhook
        self._renewed = _time()
        self._over = False

    async def run(self) -> None:
        """Go on until nothing is due, the webhook fails or somebody else has it."""
        while not self._over:
            limit = 1 if self._webhook.probing else _CHUNK
            due = await read_due(self._webhook.id, limit=limit)
            if not due:
                return
            await self._deliver_all(due)
            await self._renew()

    async def _deliver_all(self, due: list[Delivery]) -> None:
        left = iter(due)

        async def work() -> None:
            for delivery in left:
                if self._over:
                    return
                if not await deliver(self._stores, self._webhook, delivery):
                    await self._renew()  # it may be disabled, or its breaker open
                elif _time() - self._renewed > _RENEW_SECONDS:
                    await self._renew()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(CONCURRENCY, len(due))):
                    group.create_task(work())
        except* PyMongoError as failures:  # nothing odd: MongoDB was away
            raise failures.exceptions[0] from failures

    async def _renew(self) -> None:
        renewed = await renew_webhook(self._webhook, lease_seconds=_LEASE_SECONDS)
        self._renewed = _time()
        if renewed is None:
            self._over = True
        else:
            self._webhook = renewed


def _time() -> float:
    return asyncio.get_running_loop().time()
