"""The launcher as its parent sees it; parents are programs of their own, for they have to die."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from models.embedded import launcher
from tests.models.embedded.programs import DEAF, SLEEP, await_that, is_gone, spoken

PARENT = """
import os, subprocess, sys, time
watched, ours = os.pipe() if sys.argv[2] == "watching" else (-1, -1)
child = subprocess.Popen(
    [sys.executable, "-I", "-S", sys.argv[1], str(os.getpid()), str(watched), *sys.argv[3:]],
    pass_fds=[watched] if watched >= 0 else [], start_new_session=True,
)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def parents() -> Iterator[list["subprocess.Popen[str]"]]:
    """Those that a test starts; none outlives it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for parent in started:
        with parent:
            parent.kill()


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(
            "kernel",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children"),
        ),
        "watching",
    ],
)
def test_child_ends_with_a_killed_parent(way: str, parents: list["subprocess.Popen[str]"]) -> None:
    parent = _parent_of(parents, way, "print('up', flush=True); " + SLEEP)
    child = int(spoken(parent))
    assert spoken(parent) == "up"

    parent.kill()

    await_that(lambda: is_gone(child))


def test_watcher_hands_on_sigterm_and_exit_code(parents: list["subprocess.Popen[str]"]) -> None:
    ended = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
    watched, ours = os.pipe()
    child = _launch(str(watched), ended + "print('up', flush=True); " + SLEEP, keep=watched)
    parents.append(child)
    assert spoken(child) == "up"

    child.terminate()

    assert child.wait(30) == 7
    os.close(watched)
    os.close(ours)


def test_watcher_kills_who_does_not_listen(
    parents: list["subprocess.Popen[str]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "GRACE_SECONDS", 0.2)
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE, text=True) as child:
        assert spoken(child) == "deaf"

        launcher.end(child)

    assert child.returncode == -signal.SIGKILL


def test_refuses_to_start_for_a_parent_that_is_gone() -> None:
    with _launch("-1", "print('started')", parent=1) as child:
        said = child.communicate(timeout=30)[0]

    assert child.returncode != 0
    assert said == ""


def test_child_gets_the_default_sigpipe(parents: list["subprocess.Popen[str]"]) -> None:
    shows = ["/bin/sh", "-c", "kill -PIPE $$; echo ignored"]
    command = [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), "-1", *shows]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)

    assert ended.returncode == -signal.SIGPIPE
    assert ended.stdout == ""


def _parent_of(
    parents: list["subprocess.Popen[str]"], way: str, program: str
) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PARENT, launcher.__file__, way, sys.executable, "-c", program]
    parents.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    return parents[-1]


def _launch(
    pipe: str, program: str, *, keep: int | None = None, parent: int | None = None
) -> "subprocess.Popen[str]":
    start = [sys.executable, "-I", "-S", launcher.__file__, str(parent or os.getpid()), pipe]
    return subprocess.Popen(
        [*start, sys.executable, "-c", program],
        pass_fds=[] if keep is None else [keep],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
