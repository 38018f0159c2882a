"""The simulation notices when a defence is taken out of the product."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.__main__ import ROOT, copy_tree
from tests.mutants.mutant import Mutant
from tests.simulation.mutants import DEFENCES

SEEDS = 400


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("mutants"))


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", DEFENCES, ids=lambda mutant: mutant.name)
def test_a_missing_defence_is_found_by_some_seed(copy: Path, mutant: Mutant) -> None:
    with mutant.applied(copy):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tests.simulation", "--seeds", str(SEEDS), "--stop"],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 1, done.stderr[-4000:]
    found = done.stdout.splitlines()[0]
    assert any(f": {promise}: " in found for promise in mutant.tests), found


def test_every_mutant_has_its_place() -> None:
    assert [said for mutant in DEFENCES for said in mutant.misplaced(ROOT)] == []
