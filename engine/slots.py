"""The blocks that one conductor may work on at a time, shared fairly between namespaces.

A free slot goes to the namespace that holds the fewest: one with a million rows in fifty batches
gets no more than one with a hundred rows in a single batch. Among those that hold as many, the
question that has waited longest is first, where a level of priority counts as five seconds of
waiting: so priority orders the batches of a namespace, buys it nothing from its neighbours, and
keeps no batch waiting for ever.

The bound is also what keeps the memory of a conductor, and what it has in Ray's object store, from
growing with the number of batches.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Final

PRIORITY_SECONDS: Final = 5.0


@dataclass(frozen=True, eq=False)
class _Question:
    namespace_id: str
    since: float  # by the loop's clock, put earlier by its priority
    place: "asyncio.Future[None]"


class Slots:
    """So many slots, at most `of_one` for a namespace, granted in the order of need."""

    def __init__(self, total: int, of_one: int | None = None) -> None:
        self._free = total
        self._of_one = total if of_one is None else of_one
        self._held: Counter[str] = Counter()
        self._waiting: list[_Question] = []

    def ask(self, namespace_id: str, priority: int = 0) -> "asyncio.Future[None]":
        """Return a future that is done once a slot is the caller's; `give_back` ends that."""
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()
        since = loop.time() - priority * PRIORITY_SECONDS
        self._waiting.append(_Question(namespace_id, since, place))
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
            self._waiting = [question for question in self._waiting if question.place is not place]
            place.cancel()

    def _grant(self) -> None:
        while self._free:
            may = [one for one in self._waiting if self._held[one.namespace_id] < self._of_one]
            if not may:
                return
            chosen = min(may, key=lambda one: (self._held[one.namespace_id], one.since))
            self._waiting.remove(chosen)
            self._free -= 1
            self._held[chosen.namespace_id] += 1
            chosen.place.set_result(None)
