"""Children that are started again."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.embedded.child import Child, Command
from models.embedded.errors import StartFailed
from models.embedded.folder import DataFolder
from models.embedded.supervision import Backoff, Ended, Supervisor
from tests.models.embedded.programs import SLEEP, await_that, is_gone, python

QUICK = Backoff(first=0.05, longest=0.2)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    with DataFolder(tmp_path) as folder:
        yield folder


@pytest.fixture
def make(folder: DataFolder) -> Callable[[str, Command], Child]:
    return lambda name, command: Child(name, command, folder=folder, probe=lambda: True)


def test_starts_a_killed_child_again(make: Callable[[str, Command], Child]) -> None:
    child, ended = make("api", python(SLEEP)), list[Ended]()
    supervisor = Supervisor([child], backoff=QUICK, on_end=ended.append)
    supervisor.start()
    first = _pid(child)

    os.kill(first, signal.SIGKILL)
    await_that(lambda: _tended(supervisor, child) not in (first, None))

    assert [(one.name, one.delay) for one in ended] == [("api", 0.05)]
    assert "-9" in ended[0].error.message
    supervisor.stop()


def test_waits_longer_for_a_child_that_keeps_ending(
    make: Callable[[str, Command], Child],
) -> None:
    child, ended = make("api", python(SLEEP)), list[Ended]()
    supervisor = Supervisor([child], backoff=QUICK, on_end=ended.append)
    supervisor.start()
    child.command = python("import sys; sys.exit('no such database')")
    os.kill(_pid(child), signal.SIGKILL)

    await_that(lambda: _tended(supervisor, child) is None and len(ended) >= 5)

    assert [one.delay for one in ended[:5]] == [0.05, 0.1, 0.2, 0.2, 0.2]
    assert ended[-1].error.log_tail == "no such database"
    supervisor.stop()


def test_failing_first_start_stops_the_others(make: Callable[[str, Command], Child]) -> None:
    good, bad = make("api", python(SLEEP)), make("worker", python("import sys; sys.exit(3)"))
    bad_supervisor = Supervisor([good, bad])
    bad._probe = lambda: False

    with pytest.raises(StartFailed, match="worker ended with code 3"):
        bad_supervisor.start()

    assert good.pid is None


def test_stops_the_last_started_first(
    make: Callable[[str, Command], Child], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    program = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    open({str(told)!r}, 'a').write(sys.argv[1] + ' '); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(600)"
    )
    children = [make(name, python(program, name)) for name in ("api", "worker", "engine")]
    supervisor = Supervisor(children)
    supervisor.start()
    pids = [_pid(child) for child in children]
    await_that(lambda: all("up" in child.log.read_text() for child in children))

    supervisor.stop()

    assert told.read_text().split() == ["engine", "worker", "api"]
    assert all(is_gone(pid) for pid in pids)


def test_forgives_after_a_while() -> None:
    backoff = Backoff()

    assert [backoff.delay(failures) for failures in (1, 2, 3, 20)] == [0.5, 1.0, 2.0, 30.0]


def _pid(child: Child) -> int:
    assert child.pid is not None
    return child.pid


def _tended(supervisor: Supervisor, child: Child) -> int | None:
    supervisor.tend()
    return child.pid
