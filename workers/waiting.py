"""Consumers that wait in Redis until there is a message, where Dramatiq's ask ten times a second.

A message is taken up at once, and a worker without work costs next to nothing.
"""

from typing import Any, Final

from dramatiq.brokers.redis import RedisBroker

WAIT_SECONDS: Final = 0.5  # a consumer that is told to stop looks up as often


class WaitingBroker(RedisBroker):
    """Dramatiq's broker over Redis, with its queues as they are."""

    def get_declared_delay_queues(self) -> set[str]:
        """Return none: nothing is sent with a delay, and each would have a consumer."""
        return set()

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
        ids, wait = f"{self.namespace}:{queue_name}", WAIT_SECONDS
        found = self.client.blmove(ids, ids, wait, "LEFT", "LEFT")  # type: ignore[arg-type]
        return found is not None
