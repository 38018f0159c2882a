"""`python -m tests.simulation`: run many seeds, or one of them with its trace."""

import argparse
import gc
import os
import sys
import time
from collections import Counter

from tests.simulation.run import simulate_seed

_TOLD_EVERY = 500


def main() -> int:
    """Run what is asked for; 1 when a run broke a promise."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--stop", action="store_true", help="at the first broken promise")
    parser.add_argument("--calm", action="store_true", help="without faults")
    asked = parser.parse_args()
    first, number = (asked.first, asked.seeds) if asked.seed is None else (asked.seed, 1)
    seeds = range(first, first + number)
    gc.freeze()
    began = time.perf_counter()
    failed, turns, seconds = 0, 0, 0.0
    injected: Counter[str] = Counter()
    for seed in seeds:
        report = simulate_seed(seed, keeps=asked.trace, faults=not asked.calm)
        for line in report.trace:
            print(line)
        if report.violation is not None:
            failed += 1
            print(f"seed {seed}: {report.violation}")
        if asked.seed is not None:
            print(report.digest, f"{report.seconds:.1f} s", report.turns, report.calls)
        injected += report.injected
        turns += report.turns
        seconds += report.seconds
        done = seed - first + 1
        if done % _TOLD_EVERY == 0 and done < len(seeds):
            print(f"{done} seeds, {failed} failed", flush=True)
        if failed and asked.stop:
            return 1
    spent = time.perf_counter() - began
    print(*(f"{what}: {number}" for what, number in sorted(injected.items())), sep="\n")
    print(f"{turns / len(seeds):.0f} turns and {seconds / len(seeds):.0f} virtual seconds a seed")
    print(f"{len(seeds)} seeds in {spent:.1f} s, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of strings have one order in every run
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    sys.exit(main())
