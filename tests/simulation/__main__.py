"""`python -m tests.simulation`: run many seeds, or one of them with its trace."""

import argparse
import gc
import os
import sys
import time
from collections import Counter

from tests.simulation.run import Report, simulate_seed

_TOLD_EVERY = 100


def main() -> int:
    """Run what is asked for; 1 when a run broke a promise."""
    asked = _parse()
    first, number = (asked.first, asked.seeds) if asked.seed is None else (asked.seed, 1)
    gc.freeze()
    began = time.perf_counter()
    failed, turns, seconds = 0, 0, 0.0
    injected: Counter[str] = Counter()
    for done, seed in enumerate(range(first, first + number), start=1):
        report = simulate_seed(seed, keeps=asked.trace, faults=not asked.calm)
        _tell(report, with_digest=asked.digests)
        failed += report.violation is not None
        injected += report.injected
        turns += report.turns
        seconds += report.seconds
        if done % _TOLD_EVERY == 0 and done < number:
            print(f"{done} seeds, {failed} failed", flush=True)
        if failed and asked.stop:
            return 1
    spent = time.perf_counter() - began
    print(*(f"{what}: {times}" for what, times in sorted(injected.items())), sep="\n")
    print(f"{turns / number:.0f} turns and {seconds / number:.0f} virtual seconds a seed")
    print(f"{number} seeds in {spent:.1f} s, {failed} failed")
    return int(failed > 0)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one alone")
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
