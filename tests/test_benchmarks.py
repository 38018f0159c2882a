"""A benchmark that misses its limits says so by the exit status of the command."""

import importlib
import sys

import pytest

from benchmarks import __main__ as command
from benchmarks import abuse, resume


def run(monkeypatch: pytest.MonkeyPatch, **figures: object) -> int:
    """Run the command over one benchmark that finds what it is told to."""
    monkeypatch.setattr(command, "NAMES", ("pickup",))
    module = importlib.import_module("benchmarks.pickup")
    monkeypatch.setattr(module, "run", lambda: figures)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "pickup"])
    return command.main()


@pytest.mark.parametrize(
    ("figures", "status"), [({"within": True}, 0), ({"within": False}, 1), ({"value": 1}, 0)]
)
def test_the_exit_status_tells_of_missed_limits(
    monkeypatch: pytest.MonkeyPatch, figures: dict[str, object], status: int
) -> None:
    assert run(monkeypatch, **figures) == status


@pytest.mark.parametrize(
    ("slowest", "good", "within"), [(0.09, 0.9, True), (0.11, 0.1, False), (0.01, 1.1, False)]
)
def test_abuse_is_bounded_for_both_sides(slowest: float, good: float, within: bool) -> None:
    assert abuse.is_within(slowest, good) is within


@pytest.mark.parametrize(
    ("seen", "faults"),
    [
        ([[1, 2, 3], [1, 2, 3]], (0, 0, True)),
        ([[1, 3]], (1, 0, True)),
        ([[1, 2, 2, 3]], (0, 1, True)),
        ([[1, 3, 2]], (0, 0, False)),
    ],
)
def test_resume_finds_what_is_lost_doubled_or_out_of_order(
    seen: list[list[int]], faults: tuple[int, int, bool]
) -> None:
    assert resume.count_faults(seen, 3) == faults
