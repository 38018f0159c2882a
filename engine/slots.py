"""The blocks that one conductor may work on at a time, shared fairly between namespaces.

A free slot goes to the namespace that holds the fewest: one with a million rows in fifty batches
gets no more than one with a hundred rows in a single batch. The bound is also what keeps the memory
of a conductor, and what it has in Ray's object store, from growing with the number of batches.
"""

import asyncio
from collections import Counter


class Slots:
    """So many slots, granted in the order of need."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._held: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    def ask(self, namespace_id: str) -> "asyncio.Future[None]":
        """Return a future that is done once a slot is the caller's; `give_back` ends that."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((namespace_id, place))
        self._grant()
        return place

    def give_back(self, namespace_id: str) -> None:
        """Let another have the slot."""
        self._held[namespace_id] -= 1
        self._free += 1
        self._grant()

    def withdraw(self, namespace_id: str, place: "asyncio.Future[None]") -> None:
        """Take back a question, whether it was granted meanwhile or not."""
        if place.done():
            self.give_back(namespace_id)
        else:
            self._waiting.remove((namespace_id, place))
            place.cancel()

    def _grant(self) -> None:
        while self._free and self._waiting:
            # The first of those that hold the fewest: `min` keeps the order in which they came.
            chosen = min(self._waiting, key=lambda waiting: self._held[waiting[0]])
            self._waiting.remove(chosen)
            namespace_id, place = chosen
            self._free -= 1
            self._held[namespace_id] += 1
            place.set_result(None)
