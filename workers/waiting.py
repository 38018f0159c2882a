"""Consumers that wait in Redis until there is a message, where Dramatiq's ask ten times a second.

A message is taken up at once, and a worker without work costs next to nothing.
"""

from typing import Any, Final

from dramatiq import Consumer
from dramatiq.brokers.redis import RedisBroker

WAIT_SECONDS: Final = 1  # a consumer that is told to stop looks up as often
_PAUSE_MS: Final = 50  # at most, of one that waited in vain, or has enough to do


class WaitingBroker(RedisBroker):
    """Dramatiq's broker over Redis, with its queues as they are."""

    def get_declared_delay_queues(self) -> set[str]:
        """Return none: nothing is sent with a delay, and each would have a consumer."""
        return set()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = _PAUSE_MS) -> Consumer:
        """Return a consumer that waits here, and hardly pauses between two waits."""
        return super().consume(queue_name, prefetch, min(timeout, _PAUSE_MS))

    def do_fetch(self, queue_name: str, count: int) -> list[bytes | None]:
        """Take at most `count` messages from a queue; wait a moment for the first."""
        return self._take(queue_name, count) or (
            self._take(queue_name, count) if self._comes(queue_name) else []
        )

    def _take(self, queue_name: str, count: int) -> list[bytes | None]:
        fetch: Any = self.__getattr__("do_fetch")  # type: ignore[no-untyped-call]
        taken: list[bytes | None] = fetch(queue_name, count)
        return taken

    def _comes(self, queue_name: str) -> bool:
        """Block until a queue has a message, which is moved to where it is."""
        ids = f"{self.namespace}:{queue_name}"
        return self.client.blmove(ids, ids, WAIT_SECONDS, "LEFT", "LEFT") is not None
