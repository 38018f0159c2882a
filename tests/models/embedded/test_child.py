"""One child, from launch to end."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from models.embedded import child as child_module
from models.embedded import log_file
from models.embedded.child import Child, Command
from models.embedded.errors import StartFailed
from models.embedded.folder import DataFolder
from tests.models.embedded.programs import (
    DEAF,
    SLEEP,
    WITH_DAEMON,
    await_that,
    is_gone,
    python,
)

Make = Callable[..., Child]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with DataFolder(tmp_path) as folder, ExitStack() as ending:

        def make(
            command: Command, *, probe: Callable[[], bool] = lambda: True, **more: float
        ) -> Child:
            child = Child("sample", command, folder=folder, probe=probe, **more)
            ending.callback(child.stop)
            return child

        yield make


def test_waits_until_it_answers(make: Make) -> None:
    answers = iter([False, False, True])
    child = make(python(SLEEP), probe=lambda: next(answers))

    child.launch()
    child.await_ready()

    assert child.is_alive()


def test_a_dead_child_fails_with_its_last_words(make: Make) -> None:
    child = make(python("import sys; sys.exit('address in use')"))
    child.launch()
    await_that(lambda: child.exit_code is not None)

    with pytest.raises(StartFailed, match=r"(?s)sample ended with code 1.*address in use"):
        child.await_ready()


def test_last_words_are_of_this_run_alone(make: Make) -> None:
    child = make(python("import sys; sys.exit('first')"))
    child.launch()
    await_that(lambda: child.exit_code is not None)
    child.command = python("import sys; sys.exit('second')")
    child.launch()
    await_that(lambda: child.exit_code is not None)

    assert child.failure("ended").log_tail == "second"
    assert child.log.read_text().split() == ["first", "second"]


def test_an_answer_is_not_enough_when_the_child_is_dead(make: Make) -> None:
    """Another program answers on the port that our own child died of."""
    child = make(python(SLEEP))

    def answer_as_the_child_dies() -> bool:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        await_that(lambda: child.exit_code is not None)
        return True

    child._probe = answer_as_the_child_dies
    child.launch()

    with pytest.raises(StartFailed, match="ended with code -9"):
        child.await_ready()


def test_gives_up_on_a_child_that_never_answers(make: Make) -> None:
    child = make(python(SLEEP), probe=lambda: False, start_timeout=0.2)
    child.launch()

    with pytest.raises(StartFailed, match="did not answer"):
        child.await_ready()


def test_insists_on_the_end_of_a_deaf_child(make: Make) -> None:
    child = make(python(DEAF), stop_timeout=0.3)
    child.launch()
    pid = child.pid
    await_that(lambda: "deaf" in child.log.read_text())

    child.stop()

    assert pid is not None
    assert is_gone(pid)


def test_ends_the_daemons_of_its_child(make: Make) -> None:
    child = make(python(WITH_DAEMON))
    child.launch()
    await_that(lambda: child.log.read_text().strip() != "")
    daemon = int(child.log.read_text())

    child.stop()

    assert is_gone(daemon)


def test_stopping_twice_is_once(make: Make) -> None:
    child = make(python(SLEEP))
    child.launch()

    child.stop()
    child.stop()

    assert not child.is_alive()


def test_only_the_main_thread_may_launch(make: Make) -> None:
    refused: list[BaseException] = []

    def launch() -> None:
        try:
            make(python(SLEEP)).launch()
        except RuntimeError as error:
            refused.append(error)

    thread = threading.Thread(target=launch)
    thread.start()
    thread.join()

    assert [str(error) for error in refused] == ["children are started from the main thread"]


def test_gives_and_withholds_variables(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREIGN", "1")
    monkeypatch.setenv("NO_PROXY", "example.org")
    told = "import os; print(*(os.environ.get(n) for n in ('OURS', 'FOREIGN', 'NO_PROXY')))"
    given = Command(python(told).argv, environment={"OURS": "1"}, without=frozenset({"FOREIGN"}))
    child = make(given)

    child.launch()

    await_that(lambda: child.exit_code == 0)
    assert child.log.read_text().split() == ["1", "None", "example.org,127.0.0.1,localhost"]


def test_log_is_cut_while_its_writer_goes_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "LIMIT_BYTES", 1_000)
    chatty = "import time\nfor n in range(60000): print(n, flush=True); time.sleep(0.0005)"
    child = make(python(chatty))
    child.launch()
    await_that(lambda: child.log.stat().st_size > 1_000)

    assert child.is_alive()

    kept = child.log.with_suffix(".old.log")
    assert kept.read_text().startswith("0\n1\n2\n")
    await_that(lambda: child.log.stat().st_size > 0)
    child.stop()
    assert b"\0" not in child.log.read_bytes()


def test_watched_child_is_stopped_as_well(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the kernel does not tell children that their parent died."""
    monkeypatch.setattr(child_module, "KERNEL_TELLS", False)
    child = make(python("import os; print(os.getpid(), flush=True); " + SLEEP))
    child.launch()
    await_that(lambda: child.log.read_text().strip() != "")
    watched = int(child.log.read_text())

    child.stop()

    assert is_gone(watched)
