import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]


def simulate(*arguments: str) -> str:
    """Run seeds in a process of their own, whose sets have one order; returns what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=_ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    return done.stdout


@pytest.fixture(scope="module")
def some() -> list[str]:
    return simulate("--seeds", "10", "--digests").splitlines()


def test_no_promise_is_broken_by_some_seeds(some: list[str]) -> None:
    assert some[-1].startswith("10 seeds in ")


@pytest.mark.long
def test_a_seed_is_replayed_in_another_process(some: list[str]) -> None:
    (again, *_) = simulate("--seed", "7", "--digests").splitlines()

    assert again.startswith("seed 7 has the trace ")
    assert again in some


@pytest.mark.long
def test_a_replay_has_the_same_trace_to_the_byte() -> None:
    one, other = (simulate("--seed", "7", "--trace").splitlines()[:-1] for _ in range(2))

    assert len(one) > 100
    assert one == other


@pytest.mark.long
@pytest.mark.timeout(420)
def test_no_promise_is_broken_by_200_seeds() -> None:
    said = simulate("--seeds", "200")

    assert said.splitlines()[-1].startswith("200 seeds in ")
