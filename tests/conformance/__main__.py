"""`python -m tests.conformance NAME...`: runs gates against a fresh Strata; fails on a finding."""

import asyncio
import importlib
import sys
from typing import Final

from benchmarks.stack import running_product
from tests.conformance.target import open_target

GATES: Final = (
    "audits",
    "clients",
    "python_client",
    "schema_rules",
    "relay",
    "exposures",
    "disclosure",
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
        failed = [
            name
            for name in wanted
            if not importlib.import_module(f"tests.conformance.{name}").run(target)
        ]
    print("failed:", ", ".join(failed)) if failed else print("all gates passed")
    return 1 if failed else 0


# What is run starts processes, which import this module again under another name.
if __name__ == "__main__":
    sys.exit(main())
