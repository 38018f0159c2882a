"""The queue of a namespace let run ahead: who is taken when, and when each ends.

Those under way share the slots evenly, each up to what it can use; those that wait are taken in
turn as places become free. It is a fluid picture: blocks are not told apart.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A batch that is under way or waits to be taken."""

    batch_id: str
    seconds: float  # of work that is left; infinite when that is not known
    lanes: float  # what it can use at once
    under_way: bool


@dataclass(frozen=True)
class Passage:
    """When a batch begins and ends, in seconds from now; infinite when that is not known."""

    begins: float = math.inf
    ends: float = math.inf


def run_ahead(
    entries: Sequence[Entry], *, slots: int, places: int | None = None
) -> dict[str, Passage]:
    """Return the passage of each entry; those that wait come in the order of their turns.

    `slots` is how many blocks are worked on at once, `places` how many batches are under way.
    """
    running = {one.batch_id: one for one in entries if one.under_way}
    waiting = [one for one in reversed(entries) if not one.under_way]
    left = {one.batch_id: one.seconds for one in entries}
    begins, ends, clock = dict.fromkeys(running, 0.0), dict[str, float](), 0.0
    while running or waiting:
        while waiting and (places is None or len(running) < places):
            taken = waiting.pop()
            running[taken.batch_id], begins[taken.batch_id] = taken, clock
        share = slots / len(running)
        rates = {key: min(one.lanes, share) for key, one in running.items()}
        first = min(rates, key=lambda key: left[key] / rates[key])
        step = left[first] / rates[first]
        if step == math.inf:
            break
        clock += step
        for key, rate in rates.items():
            left[key] = max(0.0, left[key] - step * rate)
        ends[first] = clock
        del running[first]
    keys = (one.batch_id for one in entries)
    return {key: Passage(begins.get(key, math.inf), ends.get(key, math.inf)) for key in keys}
