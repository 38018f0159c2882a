"""`python -m tests.chaos --runs N`: chaos on demand; the last line is JSON. Exits with 1 on a find.

A clean run of N proves, at 95 %, a failure rate below 3/N for these faults (the rule of three).
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path

from tests.chaos.checker import open_raw
from tests.chaos.driver import Outcome, open_chaos, plan_faults
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.product import running_product


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lease", type=float, default=4.0, help="seconds; the product's own is 30")
    parser.add_argument(
        "--fault",
        action="append",
        choices=[fault.name for fault in FAULTS],
        metavar="NAME",
        help="only this one; may be given several times. One of: %(choices)s",
    )
    options = parser.parse_args()
    faults = [one for one in FAULTS if not options.fault or one.name in options.fault]
    plan = plan_faults(options.runs, options.seed, faults)
    with tempfile.TemporaryDirectory(prefix="strata-chaos-") as folder:
        outcomes = asyncio.run(_run(Path(folder), plan, options.lease, options.seed))
    _report(outcomes, options.lease)
    return 1 if any(one.violations for one in outcomes) else 0


async def _run(
    folder: Path, plan: list[tuple[Fault, float]], lease: float, seed: int
) -> list[Outcome]:
    outcomes = []
    with running_product(folder, lease_seconds=lease) as product:
        raw = open_raw(product.endpoints)
        async with open_chaos(product, raw, lease_seconds=lease, seed=seed) as chaos:
            for number, (fault, moment) in enumerate(plan, 1):
                outcome = await chaos.run(fault, moment)
                outcomes.append(outcome)
                verdict = "; ".join(outcome.violations) or "clean"
                print(
                    f"{number:4d}  {outcome.fault:42s} at {moment:4.0%}  "
                    f"went on after {outcome.recovery_seconds:5.1f} s  {verdict}",
                    flush=True,
                )
        raw.close()
    return outcomes


def _report(outcomes: list[Outcome], lease: float) -> None:
    for name in sorted({one.fault for one in outcomes}):
        times = sorted(one.recovery_seconds for one in outcomes if one.fault == name)
        print(f"{name:42s} {len(times):4d} runs  median {statistics.median(times):5.1f} s", end="")
        print(f"  worst {times[-1]:5.1f} s")
    times = sorted(one.recovery_seconds for one in outcomes)
    failed = sum(bool(one.violations) for one in outcomes)
    result = {
        "benchmark": "chaos",
        "value": failed,
        "unit": "runs with a violation",
        "limit": 0,
        "runs": len(outcomes),
        "failure_rate_below": round(3 / len(outcomes), 4) if not failed else None,
        "recovery_median_s": round(statistics.median(times), 2),
        "recovery_p99_s": round(times[min(len(times) - 1, int(len(times) * 0.99))], 2),
        "lease_s": lease,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
