"""Gate: GraphiQL in a headless Chromium with the network blocked, the last client of the matrix.

The suite's own test, under the rule of continuous integration: if it cannot run, it has failed.
"""

import os
import subprocess
import sys
from typing import Final

from tests.conformance.target import ROOT, Target

_TEST: Final = "tests/e2e/test_graphiql.py"
_SECONDS: Final = 300


def run(target: Target) -> bool:
    """Return whether it passed; it starts a stack of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-rs", _TEST],
        cwd=ROOT, timeout=_SECONDS, check=False, text=True, capture_output=True,
        env={**os.environ, "CI": "1"},
    )  # fmt: skip
    passed = done.returncode == 0 and "skipped" not in done.stdout
    if not passed:
        print(done.stdout[-4000:], done.stderr[-1000:])
    return passed
