"""`python -m tests.mutants [WORD]`: takes out each defence and runs the tests that guard it.

Works on a copy. Exits with 1 when a test passes without its defence, or fails with all of them in
place. WORD chooses the mutants whose name holds it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from tests.mutants.catalog import MUTANTS
from tests.mutants.mutant import Mutant

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = (
    "graphql_api", "workers", "engine", "models", "frontend_examples", "tests", "pyproject.toml",
)  # fmt: skip
_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "node_modules", ".venv")


def main() -> int:
    """Try the mutants that the command line chooses."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("word", nargs="?", default="")
    chosen = [one for one in MUTANTS if parser.parse_args().word in one.name]
    with tempfile.TemporaryDirectory(prefix="strata-mutants-") as folder:
        copy = copy_tree(Path(folder))
        tests = sorted({test for one in chosen for test in one.tests})
        broken = [test for test, ends in run_tests(copy, tests).items() if ends != {"passed"}]
        if broken:
            print("These do not pass with every defence in place:", *broken, sep="\n  ")
            return 1
        survived = [one for one in chosen if not _is_killed(copy, one)]
    print(f"{len(chosen) - len(survived)} of {len(chosen)} mutants killed")
    return 1 if survived or not chosen else 0


def copy_tree(folder: Path) -> Path:
    """Copy what the tests import into a folder, and return it."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=_LEFT_OUT)
        else:
            shutil.copy(source, folder / name)
    return folder


def _is_killed(copy: Path, mutant: Mutant) -> bool:
    started = time.monotonic()
    with mutant.applied(copy):
        ends = run_tests(copy, mutant.tests)
    passed = [test for test in mutant.tests if "failure" not in ends[test]]
    seconds = time.monotonic() - started
    print(f"{'SURVIVED' if passed else 'killed':10s}{seconds:4.0f} s  {mutant.name}", flush=True)
    for test in passed:
        print(f"{'':18s}does not fail: {test}")
    return not passed


def run_tests(copy: Path, tests: Sequence[str]) -> dict[str, set[str]]:
    """Run tests in a copy; return how each ended: passed, failure, or error of what it needs.

    Raises:
        RuntimeError: they were not run, which says nothing about a mutant.
    """
    report = copy / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, f"--junit-xml={report}", *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    ends = {test: _ends(report, test) for test in tests}
    if absent := [test for test, found in ends.items() if not found]:
        raise RuntimeError(f"Not run: {absent}\n{run.stdout}")
    return ends


def _ends(report: Path, test: str) -> set[str]:
    """Return how a test ended, with each of its parameters unless it names some."""
    path, name = test.split("::")
    module = path.removesuffix(".py").replace("/", ".")
    return {
        next((child.tag for child in case if child.tag in ("failure", "error")), "passed")
        for case in ElementTree.parse(report).iter("testcase")
        if case.get("classname") == module
        and name in (case.get("name", ""), case.get("name", "").split("[")[0])
    }


if __name__ == "__main__":
    sys.exit(main())
