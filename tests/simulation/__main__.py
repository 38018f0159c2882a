"""`python -m tests.simulation`: run many seeds, or one of them with its trace."""

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tests.simulation.run import Report, simulate_seed

_TOLD_SECONDS: Final = 10.0  # between two lines about how far it is
_AT_ONCE: Final = 5  # seeds that a process is given
_Map = Callable[[Callable[[int], Report], Iterable[int]], Iterable[Report]]


@dataclass
class Summary:
    """What came of all seeds so far."""

    number: int  # to be run
    began: float = field(default_factory=time.perf_counter)
    done: int = 0
    turns: int = 0
    seconds: float = 0.0  # virtual ones
    injected: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    failed: list[int] = field(default_factory=list)

    def add(self, report: Report) -> None:
        """Take one run into account."""
        self.done += 1
        self.turns += report.turns
        self.seconds += report.seconds
        self.injected += report.injected
        self.events += report.events
        if report.violation is not None:
            self.failed.append(report.seed)

    @property
    def spent(self) -> float:
        """Return the seconds since the beginning."""
        return time.perf_counter() - self.began

    def progress(self) -> str:
        """Say how far it is, how fast it goes, and how long it will take."""
        rate = self.done / self.spent
        minutes, seconds = divmod(round((self.number - self.done) / rate), 60)
        return (
            f"{self.done} of {self.number} seeds, {len(self.failed)} failed, "
            f"{rate:.1f} a second, {minutes} min {seconds} s left"
        )

    def lines(self) -> Iterator[str]:
        """Say what went wrong on purpose, how much was run, and what that proves."""
        yield from (f"{what}: {times}" for what, times in sorted(self.injected.items()))
        yield from (f"event {kind}: {times}" for kind, times in sorted(self.events.items()))
        turns, seconds = self.turns / self.done, self.seconds / self.done
        yield f"{turns:.0f} turns and {seconds:.0f} virtual seconds a seed"
        yield from (f"again: python -m tests.simulation --seed {one}" for one in self.failed)
        if not self.failed:  # the rule of three
            yield f"fewer than {3 / self.done:.2%} of such runs break a promise, at 95 %"
        yield f"{self.done} seeds in {self.spent:.1f} s, {len(self.failed)} failed"


def main() -> int:
    """Run what is asked for; 1 when a run broke a promise."""
    asked = _parse()
    first, number = (asked.first, asked.seeds) if asked.seed is None else (asked.seed, 1)
    summary, told = Summary(number), time.perf_counter()
    simulate = partial(simulate_seed, keeps=asked.trace, faults=not asked.calm)
    processes = asked.processes or len(os.sched_getaffinity(0))
    with _mapping(min(processes, number)) as mapped:
        for report in mapped(simulate, range(first, first + number)):
            _tell(report, with_digest=asked.digests)
            summary.add(report)
            if summary.failed and asked.stop:
                break
            if time.perf_counter() - told > _TOLD_SECONDS and summary.done < number:
                told = time.perf_counter()
                print(summary.progress(), file=sys.stderr, flush=True)
    print(*summary.lines(), sep="\n")
    return int(bool(summary.failed))


@contextmanager
def _mapping(processes: int) -> Iterator[_Map]:
    """Have something that works as `map` does, over some processes when there are several."""
    if processes == 1:
        gc.freeze()
        yield map
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=gc.freeze) as pool:
        yield partial(pool.imap, chunksize=_AT_ONCE)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--processes", type=int, default=1, help="0 for one a core")
    parser.add_argument("--trace", action="store_true", help="every call, message and log line")
    parser.add_argument("--digests", action="store_true", help="what tells traces apart")
    parser.add_argument("--stop", action="store_true", help="at the first broken promise")
    parser.add_argument("--calm", action="store_true", help="without faults")
    return parser.parse_args()


def _tell(report: Report, *, with_digest: bool) -> None:
    for line in report.trace:
        print(line)
    if report.violation is not None:
        print(f"seed {report.seed}: {report.violation}", flush=True)
    if with_digest:
        print(f"seed {report.seed} has the trace {report.digest}")


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of strings have one order in every run
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    sys.exit(main())
