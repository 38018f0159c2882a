"""Redis: doorbells over the event log, and mirrors with an end. Losing any of it loses nothing.

<prefix>:events:{namespace_id}   channel   "batch_id sequence": read the log of that batch
<prefix>:log                     channel   "namespace_id": a worker should place its new entries
<prefix>:placed:{namespace_id}   channel   "namespace_id position": read the namespace's whole log
<prefix>:work                    channel   "batch_id": the worker should look at that batch
<prefix>:tasks                   channel   "task_id": a worker should take up that task
<prefix>:task:{task_id}          string    a task as JSON, for 24 hours; MongoDB stands behind it
<prefix>:points:{caller}         hash      what a caller of the API may still spend; see its rates
<prefix>:answers:...             several   answers that may be given again; see `models.cache`

One connection per process listens for everyone and routes in memory.
"""

import asyncio
import contextlib
import logging
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator

from redis.asyncio import Redis
from redis.exceptions import RedisError

from models.ending import end_tasks
from models.errors import Misconfigured
from models.settings import RedisSettings

logger = logging.getLogger(__name__)
_RECONNECT_SECONDS = 0.5
_POLL_SECONDS = 1.0
_TASK_SECONDS = 24 * 3600


class Listener:
    """Wakes its owner when something was announced; wake-ups that pile up become one."""

    def __init__(self, only: str | None = None) -> None:
        self._only = only
        self._rung = False
        self._sleeper: asyncio.Future[None] | None = None
        self._batch_ids: set[str] = set()
        self.rung_at = float("-inf")  # by the loop's clock

    def ring(self, batch_id: str | None) -> None:
        """Wake the owner; None means anything may have happened meanwhile."""
        if batch_id is not None:
            if self._only is not None and self._only != batch_id:
                return
            self._batch_ids.add(batch_id)
        self.rung_at = asyncio.get_running_loop().time()
        self._rung = True
        self._wake()

    async def wait(self, seconds: float) -> set[str]:
        """Return the batches, or what else the channel names, announced since the last call.

        That takes at most `seconds`.
        """
        if not self._rung:
            # A future and a timer: a thousand of these wake at once, and a cancel is never lost.
            loop = asyncio.get_running_loop()
            self._sleeper = loop.create_future()
            timer = loop.call_later(seconds, self._wake)
            try:
                await self._sleeper
            finally:
                timer.cancel()
                self._sleeper = None
        self._rung = False
        batch_ids, self._batch_ids = self._batch_ids, set()
        return batch_ids

    def _wake(self) -> None:
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)


class Bus:
    """One process's connection to Redis."""

    def __init__(self, settings: RedisSettings) -> None:
        if settings.url is None:
            raise Misconfigured(
                "Redis has no address.", hint="Run `strata up`, or set STRATA_REDIS__URL."
            )
        self._prefix = settings.prefix
        # Blocking reads are cut into slices below the client's default timeout of 5 s.
        self.redis: Redis = Redis.from_url(
            settings.url, decode_responses=True, client_name=f"{settings.prefix}-{os.getpid()}"
        )
        self._pubsub = self.redis.pubsub(ignore_subscribe_messages=True)
        self._listeners: dict[str, set[Listener]] = defaultdict(set)
        self._reader: asyncio.Task[None] | None = None
        self._subscribing = asyncio.Lock()

    def events_channel(self, namespace_id: str) -> str:
        """Return the channel of one namespace's batches."""
        return f"{self._prefix}:events:{namespace_id}"

    @property
    def log_channel(self) -> str:
        """Return the channel on which workers hear of entries without a position."""
        return f"{self._prefix}:log"

    def placed_channel(self, namespace_id: str) -> str:
        """Return the channel of one namespace's whole log."""
        return f"{self._prefix}:placed:{namespace_id}"

    @property
    def work_channel(self) -> str:
        """Return the channel on which the engine calls the workers."""
        return f"{self._prefix}:work"

    @property
    def tasks_channel(self) -> str:
        """Return the channel on which workers are called to tasks."""
        return f"{self._prefix}:tasks"

    def points_key(self, caller: str) -> str:
        """Return the key of what a caller of the API may still spend."""
        return f"{self._prefix}:points:{caller}"

    def answers_key(self, namespace_id: str) -> str:
        """Return what every key of a namespace's answers begins with: one slot of a cluster."""
        return f"{self._prefix}:answers:{{{namespace_id}}}"

    async def announce(self, namespace_id: str, batch_id: str, sequence: int) -> None:
        """Say that a batch has news; a failure is logged, for the log itself is in MongoDB."""
        with _forgiving("publish"):
            async with self.redis.pipeline(transaction=False) as both:
                both.publish(self.events_channel(namespace_id), f"{batch_id} {sequence}")
                both.publish(self.log_channel, namespace_id)
                await both.execute()

    async def announce_task(self, namespace_id: str, task_id: str, sequence: int) -> None:
        """Say that a task has news."""
        await self._publish(self.events_channel(namespace_id), f"{task_id} {sequence}")

    async def announce_log(self, namespace_id: str) -> None:
        """Say that a namespace's log has a new entry that is of no batch."""
        await self._publish(self.log_channel, namespace_id)

    async def announce_placed(self, namespace_id: str, position: int) -> None:
        """Say how far a namespace's log goes now."""
        await self._publish(self.placed_channel(namespace_id), f"{namespace_id} {position}")

    async def ring_workers(self, batch_id: str) -> None:
        """Ask a worker to look at a batch now rather than at the next sweep."""
        await self._publish(self.work_channel, batch_id)

    async def ring_tasks(self, task_id: str) -> None:
        """Ask a worker to take up a task now rather than at the next sweep."""
        await self._publish(self.tasks_channel, task_id)

    async def mirror_task(self, task_id: str, body: str) -> None:
        """Keep a task's present form for a day."""
        with _forgiving("mirror a task"):
            await self.redis.set(f"{self._prefix}:task:{task_id}", body, ex=_TASK_SECONDS)

    async def forget_task(self, task_id: str) -> None:
        """Drop a task's mirror."""
        with _forgiving("forget a task"):
            await self.redis.delete(f"{self._prefix}:task:{task_id}")

    async def read_task(self, task_id: str) -> str | None:
        """Return a task's mirror, if Redis still has it."""
        with _forgiving("read a task's mirror"):
            found = await self.redis.get(f"{self._prefix}:task:{task_id}")
            return None if found is None else str(found)
        return None

    @contextlib.asynccontextmanager
    async def listen(self, channel: str, *, only: str | None = None) -> AsyncIterator[Listener]:
        """Register for a channel's doorbells, or only one batch's, until the block ends."""
        listener = Listener(only)
        self._listeners[channel].add(listener)
        if self._reader is None:
            self._reader = asyncio.create_task(self._read(), name="bus-reader")
        with _forgiving("subscribe"):
            await self._subscribe()
        try:
            yield listener
        finally:
            self._listeners[channel].discard(listener)
            if not self._listeners[channel]:
                del self._listeners[channel]
                with _forgiving("unsubscribe"):
                    await self._unsubscribe(channel)

    async def close(self) -> None:
        """Stop reading and close the connections."""
        if self._reader is not None:
            await end_tasks(self._reader)
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        await self.redis.aclose()

    async def _subscribe(self) -> None:
        """Subscribe to whatever has listeners: new channels, and those that Redis was away for."""
        async with self._subscribing:
            held = self._pubsub.channels.keys() - self._pubsub.pending_unsubscribe_channels
            if missing := self._listeners.keys() - held:
                await self._pubsub.subscribe(*missing)

    async def _unsubscribe(self, channel: str) -> None:
        async with self._subscribing:
            if channel not in self._listeners:  # nobody came in the meantime
                await self._pubsub.unsubscribe(channel)

    async def _publish(self, channel: str, message: str) -> None:
        with _forgiving("publish"):
            await self.redis.publish(channel, message)

    async def _read(self) -> None:
        while True:
            try:
                await self._read_while_connected()
            except (RedisError, OSError) as error:
                logger.warning("Redis pub/sub lost (%s); reconnecting", type(error).__name__)
                await asyncio.sleep(_RECONNECT_SECONDS)
                self._ring_all()  # whatever was published meanwhile is gone: look again

    async def _read_while_connected(self) -> None:
        while True:
            await self._subscribe()
            if not self._pubsub.subscribed:
                await asyncio.sleep(_POLL_SECONDS / 20)
                continue
            message = await self._pubsub.get_message(timeout=_POLL_SECONDS)
            if message is not None and message["type"] == "message":
                self._route(message["channel"], message["data"])

    def _route(self, channel: str, data: str) -> None:
        batch_id = data.partition(" ")[0]
        for listener in tuple(self._listeners.get(channel, ())):
            listener.ring(batch_id)

    def _ring_all(self) -> None:
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.ring(None)


@contextlib.contextmanager
def _forgiving(what: str) -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        logger.warning("Redis: could not %s (%s)", what, type(error).__name__)
