"""The local Valkey over starts, ports and rude endings."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from models.embedded.errors import StartFailed
from models.embedded.folder import DataFolder
from models.embedded.loopback import free_port
from models.embedded.redis import Redis
from tests.models.embedded.programs import await_that


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    with DataFolder(tmp_path) as folder:
        yield folder


@pytest.fixture
def valkey(folder: DataFolder) -> Iterator[Redis]:
    valkey = Redis(folder)
    yield valkey
    valkey.close()


def _start(valkey: Redis) -> Redis:
    valkey.launch()
    await_that(valkey.is_ready)
    return valkey


def test_keeps_its_data_on_another_port(valkey: Redis, folder: DataFolder) -> None:
    with redis.Redis.from_url(_start(valkey).url) as client:
        client.set("kept", "yes")
    valkey.stop()

    other = _start(Redis(folder))

    with redis.Redis.from_url(other.url) as client:
        assert client.get("kept") == b"yes"
    other.close()


def test_restarts_on_its_port_after_a_kill(valkey: Redis) -> None:
    url = _start(valkey).url
    with redis.Redis.from_url(url) as client:
        client.set("kept", "yes")
    assert valkey.pid is not None
    os.kill(valkey.pid, signal.SIGKILL)
    await_that(valkey.has_died)

    _start(valkey)

    assert valkey.url == url
    with redis.Redis.from_url(url) as client:
        assert client.get("kept") == b"yes"


def test_a_hanging_start_ends_and_is_seen_as_dead(
    valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    _start(valkey)
    with monkeypatch.context() as hanging:
        hanging.setattr(valkey, "answers", lambda: False)
        hanging.setattr(valkey, "start_timeout", 0.2)
        valkey.launch()
        with pytest.raises(StartFailed, match="did not answer"):
            await_that(valkey.is_ready)

    assert valkey.has_died()
    assert valkey.pid is None
    assert _start(valkey).is_alive()


def test_is_not_fooled_by_another_server_on_the_port(
    valkey: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _start(valkey)
    with DataFolder(tmp_path / "second") as second_folder:
        second = Redis(second_folder)
        ports = iter([valkey.port, free_port()])
        monkeypatch.setattr(second, "choose_port", lambda: next(ports))

        _start(second)

        assert second.port != valkey.port
        second.close()
