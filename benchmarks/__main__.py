"""`python -m benchmarks NAME`: runs one benchmark, or all of them."""

import importlib
import json
import sys
from typing import Final

NAMES: Final = (
    "bare_net",
    "pickup",
    "graphql_trivial",
    "graphql_list",
    "fanout",
    "resume",
    "abuse",
)


def main() -> int:
    """Run what the command line names."""
    wanted = sys.argv[1:] or ["--help"]
    chosen = NAMES if wanted == ["all"] else tuple(wanted)
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        print(f"usage: python -m benchmarks all | {' | '.join(NAMES)}")
        return 2
    for name in chosen:
        result = importlib.import_module(f"benchmarks.{name}").run()
        print(json.dumps(result), flush=True)
    return 0


# Benchmarks start processes, which import this module again under another name.
if __name__ == "__main__":
    sys.exit(main())
