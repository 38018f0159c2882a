"""`python -m benchmarks NAME [--size N ...]`: runs one benchmark at a size, or all of them.

Each ends with a line of JSON. One that says `"within": false` has missed its limits, and the exit
status says so once all have run.
"""

import argparse
import importlib
import inspect
import json
import sys
from collections.abc import Callable
from typing import Final

NAMES: Final = (
    "bare_net",
    "pickup",
    "submit",
    "first_document",
    "passthrough_batch",
    "text_batch",
    "peers",
    "growth",
    "graphql_trivial",
    "graphql_list",
    "cache",
    "fanout",
    "resume",
    "abuse",
)


def main() -> int:
    """Run what the command line names; every size of a benchmark is an option of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    names = parser.add_subparsers(dest="name", required=True, metavar=" | ".join(("all", *NAMES)))
    names.add_parser("all", help="every benchmark at its usual size")
    runs = {name: importlib.import_module(f"benchmarks.{name}").run for name in NAMES}
    for name, run in runs.items():
        _add_sizes(names.add_parser(name), run)
    options = vars(parser.parse_args())
    chosen = options.pop("name")
    missed = []
    for name in NAMES if chosen == "all" else (chosen,):
        figures = runs[name](**options)
        print(json.dumps(figures), flush=True)
        if figures.get("within") is False:
            missed.append(name)
    if missed:
        print(f"beyond their limits: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _add_sizes(parser: argparse.ArgumentParser, run: Callable[..., object]) -> None:
    for size in inspect.signature(run).parameters.values():
        several = isinstance(size.default, tuple)
        parser.add_argument(
            f"--{size.name}",
            type=int,
            nargs="+" if several else None,
            default=size.default,
            help=f"usually {size.default}",
        )


# Benchmarks start processes, which import this module again under another name.
if __name__ == "__main__":
    sys.exit(main())
