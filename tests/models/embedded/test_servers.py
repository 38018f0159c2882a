"""All servers together, as `strata up` has them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from models.embedded import servers as servers_module
from models.embedded.child import Command
from models.embedded.errors import FolderInUse, StartFailed
from models.embedded.folder import DataFolder
from models.embedded.redis import Redis
from models.embedded.servers import EmbeddedServers
from models.embedded.sessions import is_running
from tests.models.embedded.programs import await_that, is_gone, spoken

# What `strata up` is to its servers: it owns them until it is asked to end, or killed.
OWNER = """
import json, signal, sys, time
from pathlib import Path
from models.embedded.servers import EmbeddedServers
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with EmbeddedServers(Path(sys.argv[1]), ray="ray" in sys.argv, num_cpus=1) as servers:
    servers.start()
    print("up", flush=True)
    time.sleep(600)
"""
TELLS_ITS_KEY = """
import os, time
print(os.environ["STRATA_ADMIN_KEY"], flush=True)
time.sleep(600)
"""
STORES = {"mongo", "redis", "qdrant", "s3"}


@pytest.fixture
def owners() -> Iterator[list["subprocess.Popen[str]"]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for owner in started:
        with owner:
            owner.kill()


def _own(owners: list["subprocess.Popen[str]"], *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", OWNER, *arguments]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    owners.append(owner)
    assert spoken(owner) == "up"
    return owner


def _pids(data: Path) -> dict[str, int]:
    listed = json.loads((data / "children.json").read_text())
    return {name: entry["pid"] for name, entry in listed.items()}


@dataclass
class Running:
    """All stores in one folder, shared by the tests that leave them running."""

    data: Path
    servers: EmbeddedServers
    ready: dict[str, float]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data, ready = tmp_path_factory.mktemp("stores"), dict[str, float]()
    with EmbeddedServers(data, ray=False, on_progress=ready.__setitem__) as servers:
        servers.start()
        yield Running(data, servers, ready)


def test_starts_all_stores_and_names_them(running: Running) -> None:
    endpoints = running.servers.endpoints()
    environment = endpoints.environment()

    assert set(running.ready) == set(_pids(running.data)) == STORES
    assert running.servers.check() == []
    assert len(set(environment.values())) == 9
    assert environment["STRATA_QDRANT__API_KEY"] == endpoints.qdrant_api_key
    assert "STRATA_RAY__ADDRESS" not in environment


def test_secrets_stay_out_of_sight(running: Running) -> None:
    endpoints = running.servers.endpoints()
    lines = [" ".join(psutil.Process(pid).cmdline()) for pid in _pids(running.data).values()]

    for secret in (
        endpoints.qdrant_api_key,
        endpoints.s3_secret_key,
        endpoints.admin_key,
        endpoints.sealing_key,
    ):
        assert secret is not None
        assert secret not in repr(endpoints)
        assert not any(secret in line for line in lines)


def test_dead_server_is_noticed_and_comes_back_at_its_address(running: Running) -> None:
    before = running.servers.endpoints()
    os.kill(_pids(running.data)["qdrant"], signal.SIGKILL)
    await_that(lambda: running.servers.check() == ["qdrant"])

    running.servers.restart("qdrant")

    assert running.servers.check() == []
    assert running.servers.endpoints() == before


def test_second_start_on_one_folder_is_refused(running: Running) -> None:
    with pytest.raises(FolderInUse):
        EmbeddedServers(running.data, ray=False).start()

    assert running.servers.check() == []


def test_given_urls_are_left_alone(tmp_path: Path) -> None:
    with EmbeddedServers(
        tmp_path,
        mongo_url="mongodb://far",
        qdrant_url="https://far",
        s3_url="https://s3",
        ray_address="ray:6379",
    ) as servers:
        endpoints = servers.start()

        assert set(_pids(tmp_path)) == {"redis"}
    assert endpoints.mongo_url == "mongodb://far"
    assert endpoints.ray_address == "ray:6379"
    assert (endpoints.qdrant_api_key, endpoints.s3_access_key, endpoints.ray_token) == (None,) * 3


def test_first_failure_is_told_and_stops_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Redis):
        def command(self) -> Command:
            return Command([*super().command().argv, "--no-such-option", "1"])

    monkeypatch.setattr(servers_module, "Redis", Broken)
    monkeypatch.setattr(Broken, "busy_code", None)
    servers = EmbeddedServers(tmp_path, ray=False)

    with pytest.raises(StartFailed, match=r"(?s)redis ended with code 1.*no-such-option"):
        servers.start()

    assert _pids(tmp_path) == {}
    with DataFolder(tmp_path):
        pass


def test_a_child_of_the_caller_shares_log_and_list(tmp_path: Path) -> None:
    with EmbeddedServers(
        tmp_path, mongo_url="", redis_url="", qdrant_url="", s3_url="", ray=False
    ) as servers:
        endpoints = servers.start()
        told = [sys.executable, "-c", TELLS_ITS_KEY]
        child = servers.child("api", Command(told, endpoints.environment()), probe=lambda: True)

        child.launch()

        await_that(lambda: endpoints.admin_key in child.log.read_text())
        assert set(_pids(tmp_path)) == {"api"}
        child.stop()


def test_sigterm_stops_in_reverse_order(
    tmp_path: Path, owners: list["subprocess.Popen[str]"]
) -> None:
    owner = _own(owners, str(tmp_path))
    pids = _pids(tmp_path)

    owner.terminate()

    seen: list[list[str]] = []
    while pids.keys() - set(gone := [name for name, pid in pids.items() if is_gone(pid)]):
        seen.append(sorted(gone))
    assert owner.wait(30) == 0
    assert ["qdrant", "redis", "s3"] in seen  # mongo, the first to start, was still there
    assert _pids(tmp_path) == {}


@pytest.mark.long
@pytest.mark.ray
def test_killed_owner_leaves_nothing_and_the_next_starts(
    tmp_path: Path, owners: list["subprocess.Popen[str]"]
) -> None:
    owner = _own(owners, str(tmp_path), "ray")
    family = psutil.Process(owner.pid).children(recursive=True)
    scratch = Path(json.loads((tmp_path / "children.json").read_text())["ray"]["scratch"])
    assert {"mongod", "valkey-server", "gcs_server", "raylet"} <= {one.name() for one in family}

    owner.kill()

    await_that(lambda: not any(is_running(one) for one in family), seconds=20)
    assert scratch.is_dir()
    with EmbeddedServers(tmp_path, ray=False) as servers:
        servers.start()
        assert not scratch.exists()
