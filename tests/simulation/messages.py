"""Redis as far as doorbells go: published messages, and mirrors that nobody relies on."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError

from tests.simulation.loop import PROCESS, Process
from tests.simulation.network import Network

T = TypeVar("T")


@dataclass
class Messages:
    """One Redis; who subscribes to what is all that it has to remember."""

    network: Network
    subscribers: list["Subscription"] = field(default_factory=list)
    mirrors: dict[str, str] = field(default_factory=dict)

    def deliver(self, channel: str, data: str) -> None:
        """Hand a message to whoever listens, as the network allows."""
        message = {"type": "message", "channel": channel, "data": data}
        for one in tuple(self.subscribers):
            if channel in one.channels and one.process.alive:
                self.network.send(lambda one=one: one.receive(message), "message")  # type: ignore[misc]

    def wipe(self) -> None:
        """Lose everything, and every connection."""
        self.mirrors.clear()
        for one in self.subscribers:
            one.broken = True
            one.wake()
        self.subscribers.clear()


class Connection:
    """One process's client."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    async def _call(self, said: str, effect: Callable[[], T]) -> T:
        return await self._messages.network.call(
            "redis", said, effect, lambda: RedisConnectionError("lost")
        )

    def pubsub(self, **_: Any) -> "Subscription":
        """Return a subscription to nothing yet."""
        return Subscription(self._messages)

    def pipeline(self, **_: Any) -> "_Pipeline":
        """Return commands that are sent together."""
        return _Pipeline(self)

    async def publish(self, channel: str, data: str) -> None:
        """Publish one message."""
        await self.publish_all([(channel, data)])

    async def publish_all(self, messages: list[tuple[str, str]]) -> None:
        """Publish several."""

        def deliver() -> None:
            for channel, data in messages:
                self._messages.deliver(channel, data)

        await self._call(f"publish {messages}", deliver)

    async def set(self, key: str, value: str, **_: Any) -> None:
        """Keep a mirror."""
        await self._call(f"set {key}", lambda: self._messages.mirrors.update({key: value}))

    async def delete(self, key: str) -> None:
        """Drop a mirror."""
        await self._call(f"delete {key}", lambda: self._messages.mirrors.pop(key, None))

    async def aclose(self) -> None:
        """Close nothing."""


class _Pipeline:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._messages: list[tuple[str, str]] = []

    async def __aenter__(self) -> "_Pipeline":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def publish(self, channel: str, data: str) -> None:
        """Queue a message."""
        self._messages.append((channel, data))

    async def execute(self) -> None:
        """Send what was queued."""
        await self._connection.publish_all(self._messages)


class Subscription:
    """One process's subscriptions."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self.process: Process = PROCESS.get()
        self.channels: dict[str, None] = {}
        self.pending_unsubscribe_channels: frozenset[str] = frozenset()
        self.broken = False
        self._queue: deque[dict[str, str]] = deque()
        self._sleeper: asyncio.Future[None] | None = None

    @property
    def subscribed(self) -> bool:
        """Whether there is anything to wait for."""
        return bool(self.channels)

    async def subscribe(self, *channels: str) -> None:
        """Listen to channels; after a broken connection, to all of them again."""
        self.channels |= dict.fromkeys(channels)
        await self._register()

    async def unsubscribe(self, channel: str) -> None:
        """Listen to a channel no more."""
        self.channels.pop(channel, None)

    async def _register(self) -> None:
        def register() -> None:
            if self not in self._messages.subscribers:
                self._messages.subscribers.append(self)
            self.broken = False

        await self._messages.network.call(
            "redis", "subscribe", register, lambda: RedisConnectionError("lost")
        )

    def receive(self, message: dict[str, str]) -> None:
        """Take a message from the network."""
        if self.process.alive and not self.broken:
            self._queue.append(message)
            self.wake()

    def wake(self) -> None:
        """Let whoever waits look again."""
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    async def get_message(self, timeout: float) -> dict[str, str] | None:  # noqa: ASYNC109  # redis-py's own signature
        """Return the next message, or None when none came in time."""
        if self.broken or self not in self._messages.subscribers:
            self._queue.clear()
            await self._register()
            raise RedisConnectionError("connection lost")
        if not self._queue:
            loop = asyncio.get_running_loop()
            self._sleeper = loop.create_future()
            timer = loop.call_later(timeout, self.wake)
            try:
                await self._sleeper
            finally:
                timer.cancel()
        if self.broken:
            raise RedisConnectionError("connection lost")
        return self._queue.popleft() if self._queue else None

    async def aclose(self) -> None:
        """Close nothing."""
