"""`python -m tests.conformance NAME...`: runs gates against a fresh Strata; fails on a finding.

Each gate ends with a line of its own, all of them with a table.
"""

import asyncio
import importlib
import sys
import time
from typing import Final

from benchmarks.stack import running_product
from tests.conformance.target import Target, open_target

GATES: Final = (
    "audits",
    "websocket",
    "clients",
    "python_client",
    "graphiql",
    "schema_rules",
    "relay",
    "freshness",
    "exposures",
    "disclosure",
    "clairvoyance",
    "fuzzing",
)
PLENTY: Final = {
    "STRATA_API__LIMITS__COST_BUCKET": "1000000000",
    "STRATA_API__LIMITS__COST_RESTORED": "100000000",
}


def main() -> int:
    """Run what the command line names; all gates without names."""
    wanted = sys.argv[1:] or list(GATES)
    if unknown := [name for name in wanted if name not in GATES]:
        print(f"no such gate: {', '.join(unknown)}; there are {', '.join(GATES)}")
        return 2
    with running_product(**PLENTY) as product:
        target = asyncio.run(open_target(product))
        verdicts = {name: _judge(name, target) for name in wanted}
    _print_table(verdicts)
    return 0 if all(passed for passed, _ in verdicts.values()) else 1


def _judge(name: str, target: Target) -> tuple[bool, float]:
    """Run a gate; one that breaks down has not passed, and the others go on."""
    began = time.monotonic()
    try:
        passed: bool = importlib.import_module(f"tests.conformance.{name}").run(target)
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}")
        passed = False
    seconds = time.monotonic() - began
    print(f"{'passed' if passed else 'FAILED'}  {name}  {seconds:.0f} s", flush=True)
    return passed, seconds


def _print_table(verdicts: dict[str, tuple[bool, float]]) -> None:
    print("\ngate            verdict  seconds")
    for name, (passed, seconds) in verdicts.items():
        print(f"{name:<15} {'passed' if passed else 'FAILED':<8} {seconds:7.0f}")
    print(f"{sum(passed for passed, _ in verdicts.values())} of {len(verdicts)} gates passed")


# What is run starts processes, which import this module again under another name.
if __name__ == "__main__":
    sys.exit(main())
