"""The data folder's owner, and what a killed one leaves behind."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from models.embedded.credentials import open_credentials
from models.embedded.errors import FolderInUse
from models.embedded.folder import DataFolder, Entry
from models.embedded.sessions import MARK
from tests.models.embedded.programs import (
    SLEEP,
    WITH_DAEMON,
    WITH_WORKER,
    await_that,
    is_gone,
    spoken,
)


def test_second_owner_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    with DataFolder(tmp_path), pytest.raises(FolderInUse, match=str(os.getpid())):
        DataFolder(tmp_path).acquire()


def test_released_folder_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with DataFolder(tmp_path):
            pass

    assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_secrets_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    first = open_credentials(tmp_path)

    assert open_credentials(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_secret_that_an_older_folder_lacks_is_added(tmp_path: Path) -> None:
    first = open_credentials(tmp_path)
    file = tmp_path / "secrets.json"
    known = json.loads(file.read_text())
    del known["sealing_key"]
    file.write_text(json.dumps(known))

    again = open_credentials(tmp_path)

    assert again.sealing_key
    assert replace(again, sealing_key=first.sealing_key) == first
    assert open_credentials(tmp_path) == again


def test_secrets_differ_between_folders(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ours, others = open_credentials(tmp_path), open_credentials(tmp_path / "other")

    assert not set(vars(ours).values()) & set(vars(others).values())


def test_next_owner_ends_a_leftover_and_its_family(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with _stray(WITH_DAEMON) as stray:
        daemon = int(spoken(stray))
        _leave(tmp_path, Entry(stray.pid, psutil.Process(stray.pid).create_time(), str(scratch)))

        with DataFolder(tmp_path):
            assert is_gone(stray.pid)
            assert is_gone(daemon)
            assert not scratch.exists()


def test_next_owner_finds_the_daemon_of_a_dead_child_by_its_mark(tmp_path: Path) -> None:
    with _stray(WITH_DAEMON, marked=tmp_path) as stray:
        daemon = int(spoken(stray))
        stray.kill()
    assert not is_gone(daemon)

    with DataFolder(tmp_path):
        assert is_gone(daemon)


def test_next_owner_finds_the_session_of_a_dead_child(tmp_path: Path) -> None:
    """As with Ray's agents after a SIGKILL of their head: their titles hide the mark."""
    with _stray(WITH_WORKER) as stray:
        orphan = int(spoken(stray))
        _leave(tmp_path, Entry(stray.pid, psutil.Process(stray.pid).create_time()))
        stray.kill()
    assert not is_gone(orphan)

    with DataFolder(tmp_path):
        await_that(lambda: is_gone(orphan))


def test_a_number_that_is_anothers_by_now_is_spared(tmp_path: Path) -> None:
    with _stray(SLEEP) as stranger:
        began = psutil.Process(stranger.pid).create_time()
        _leave(tmp_path, Entry(stranger.pid, began - 3600))

        with DataFolder(tmp_path):
            assert not is_gone(stranger.pid)
        stranger.kill()


def test_torn_list_of_children_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "children.json").write_text('{"mongo": {"pid": 1')

    with DataFolder(tmp_path) as folder:
        folder.remember("mongo", Entry(1, 2.0))

    assert json.loads((tmp_path / "children.json").read_text())["mongo"]["pid"] == 1


def _leave(path: Path, entry: Entry) -> None:
    with DataFolder(path) as folder:
        folder.remember("stray", entry)


def _stray(program: str, *, marked: Path | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, MARK: str(marked)} if marked else None,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
