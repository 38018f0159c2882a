"""Gate: relay-compiler takes the schema, with what a Relay user writes over it."""

import shutil
import tempfile
from pathlib import Path

from tests.conformance.target import HERE, Target, run_tool


def run(target: Target) -> bool:
    """Return whether it compiles; in a copy, for the compiler writes beside its sources."""
    with tempfile.TemporaryDirectory(dir=HERE, prefix="relay-") as folder:
        shutil.copytree(HERE / "relay", folder, dirs_exist_ok=True)
        return run_tool("relay-compiler", cwd=Path(folder))
