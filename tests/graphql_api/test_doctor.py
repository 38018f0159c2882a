"""The doctor, on settings that are broken and on a machine that is not."""

import gc
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from engine.plugins import allow_plugins
from graphql_api.commands.doctor import machine
from graphql_api.commands.doctor.findings import Check, Finding, Level, examine
from graphql_api.commands.doctor.machine import machine_checks
from graphql_api.commands.doctor.plugins import plugin_checks
from graphql_api.commands.doctor.report import show_findings
from graphql_api.commands.doctor.sealing import sealing_checks
from graphql_api.commands.doctor.servers import server_checks
from models.embedded.loopback import HOST
from models.embedded.mongo import OPEN_TRANSACTION_SECONDS
from models.errors import Misconfigured
from models.settings import (
    ExtractorSettings,
    MongoSettings,
    QdrantSettings,
    RaySettings,
    RedisSettings,
    S3Settings,
    Settings,
)
from models.stores import Stores
from tests.fixtures.plugins import SHOUT, Install

# PyMongo's monitor, canceled while it connects, leaves its socket to the garbage collector.
PYMONGO_LEAKS = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)
NOBODY = f"{HOST}:1"  # a port that needs root, and that no test machine serves


def make_settings(data: Path) -> Settings:
    return Settings(
        data=data,
        mongo=MongoSettings(),
        redis=RedisSettings(),
        qdrant=QdrantSettings(),
        s3=S3Settings(),
        ray=RaySettings(),
    )


def unreachable_settings(data: Path) -> Settings:
    return Settings(
        data=data,
        mongo=MongoSettings(url=f"mongodb://u:hunter2@{NOBODY}/?replicaSet=rs0"),
        redis=RedisSettings(url=f"redis://:hunter2@{NOBODY}/0"),
        qdrant=QdrantSettings(url=f"http://{NOBODY}"),
        s3=S3Settings(
            endpoint_url=f"http://{NOBODY}", access_key="a", secret_key=SecretStr("hunter2")
        ),
        ray=RaySettings(address=NOBODY),
    )


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def one(checks: list[Check], subject: str) -> Check:
    (found,) = [check for check in checks if check.subject == subject]
    return found


@pytest.mark.parametrize(
    ("subject", "setting"),
    [
        pytest.param("mongo", "STRATA_MONGO__URL", marks=PYMONGO_LEAKS),
        ("redis", "STRATA_REDIS__URL"),
        ("qdrant", "STRATA_QDRANT__URL"),
        ("s3", "STRATA_S3__ENDPOINT_URL"),
        ("ray", "STRATA_RAY__ADDRESS"),
    ],
)
async def test_an_unreachable_server_names_its_setting(
    tmp_path: Path, subject: str, setting: str
) -> None:
    finding = await examine(one(server_checks(unreachable_settings(tmp_path)), subject))

    assert finding.level is Level.ERROR
    assert f"{setting}, now {NOBODY}" in finding.remedy
    assert "hunter2" not in finding.found + finding.remedy
    gc.collect()  # what PyMongo leaks is to be found now, not in a test that comes later


async def test_addresses_left_by_a_killed_strata_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text("{}")

    finding = await examine(one(server_checks(unreachable_settings(tmp_path)), "ray"))

    assert "start it again" in finding.remedy


@pytest.mark.parametrize(
    ("lease_seconds", "level"), [(30.0, Level.OK), (OPEN_TRANSACTION_SECONDS - 1, Level.WARNING)]
)
async def test_transactions_that_outlive_a_lease_are_a_doubt(
    stores: Stores, lease_seconds: float, level: Level
) -> None:
    engine = stores.settings.engine.model_copy(update={"lease_seconds": lease_seconds})
    settings = stores.settings.model_copy(update={"engine": engine})

    finding = await examine(one(server_checks(settings), "mongo"))

    assert finding.level is level
    assert ("transactionLifetimeLimitSeconds" in finding.remedy) == (level is Level.WARNING)


@pytest.mark.parametrize(
    ("key", "url", "level"),
    [
        (None, None, Level.OK),
        (None, f"mongodb://{NOBODY}", Level.ERROR),
        ("too short", f"mongodb://{NOBODY}", Level.ERROR),
        ("a-key-of-more-than-32-random-characters", f"mongodb://{NOBODY}", Level.OK),
    ],
)
async def test_servers_of_others_need_a_key_that_seals(
    tmp_path: Path, key: str | None, url: str | None, level: Level
) -> None:
    settings = make_settings(tmp_path).model_copy(
        update={"sealing_keys": key and SecretStr(key), "mongo": MongoSettings(url=url)}
    )

    finding = await examine(one(sealing_checks(settings), "sealing key"))

    assert finding.level is level
    assert ("STRATA_SEALING_KEYS" in finding.remedy) == (level is Level.ERROR)


@pytest.mark.parametrize("subject", ["mongo", "redis", "qdrant", "s3", "ray"])
async def test_a_server_without_address_can_be_started(tmp_path: Path, subject: str) -> None:
    finding = await examine(one(server_checks(make_settings(tmp_path)), subject))

    assert (finding.level, finding.remedy) == (Level.OK, "")
    assert is_empty(tmp_path)


async def test_a_server_that_is_not_installed_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.embedded.binaries.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")

    finding = await examine(one(server_checks(make_settings(tmp_path)), "mongo"))

    assert finding.level is Level.ERROR
    assert "strata[embedded]" in finding.remedy


@pytest.mark.parametrize("subject", ["python", "packages", "default net", "libcurl", "disk"])
async def test_this_machine_is_well(tmp_path: Path, subject: str) -> None:
    finding = await examine(one(machine_checks(make_settings(tmp_path), port=0), subject))

    assert finding == Finding(subject, Level.OK, finding.found)


async def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "TOO_LITTLE_SPACE", 2**62)

    finding = await examine(one(machine_checks(make_settings(tmp_path), port=0), "disk"))

    assert finding.level is Level.ERROR
    assert "--data" in finding.remedy


async def test_a_port_that_another_program_holds_is_an_error(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        finding = await examine(one(machine_checks(make_settings(tmp_path), port=port), "port"))

    assert finding.level is Level.ERROR
    assert "--port" in finding.remedy


async def test_a_requirement_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ["rich<1", "strata-no-such-package==1.0"]
    monkeypatch.setattr(machine, "requires", lambda _: wanted)

    finding = await examine(one(machine_checks(make_settings(tmp_path), port=0), "packages"))

    assert finding.level is Level.ERROR
    assert "rich<1 is wanted" in finding.found
    assert "strata-no-such-package==1.0 is missing" in finding.found


def _raises(error: Exception) -> Callable[[], Finding | Awaitable[Finding]]:
    def ask() -> Finding:
        raise error

    return ask


async def test_a_check_that_breaks_is_itself_a_finding() -> None:
    finding = await examine(Check("it", _raises(ZeroDivisionError("so\nlong")), "Mend it."))

    assert finding == Finding("it", Level.ERROR, "ZeroDivisionError: so", "Mend it.")


async def test_an_error_that_knows_better_brings_its_own_remedy() -> None:
    error = Misconfigured("A standalone server.", hint="Start it with --replSet.")

    finding = await examine(Check("it", _raises(error), "Mend it."))

    assert finding.remedy == "Start it with --replSet."


def test_the_report_shows_remedies_and_counts_errors() -> None:
    findings = [
        Finding("disk", Level.WARNING, "1.0 GiB free", "Make room."),
        Finding("mongo", Level.ERROR, "[no answer]", "Check STRATA_MONGO__URL."),
    ]
    console = Console(width=100, force_terminal=False)

    with console.capture() as written:
        show_findings(findings, console)

    shown = written.get()
    assert "-> Check STRATA_MONGO__URL." in shown
    assert "[no answer]" in shown
    assert shown.endswith("1 to mend.\n")
    assert "\x1b" not in shown


async def test_plugins_are_loaded_or_said_to_be_wrong(
    tmp_path: Path, install_plugin: Install
) -> None:
    offers = {
        "shout@v1": "shouting:Shout",
        "broken@v1": "breaking:Shout",
        "text@v1": "shouting:Shout",
        "quiet@v1": "shouting:Quiet",
    }
    install_plugin("strata-shout", offers, shouting=SHOUT, breaking="1 / 0")
    wanted = ExtractorSettings(plugins=("shout@v1", "broken@v1", "text@v1", "absent@v1"))
    settings = make_settings(tmp_path).model_copy(update={"extractors": wanted})
    allow_plugins(wanted.plugins)

    found = {one.subject: one for one in [await examine(c) for c in plugin_checks(settings)]}

    assert {subject.removeprefix("plug-in "): one.level for subject, one in found.items()} == {
        "shout@v1": Level.OK,
        "broken@v1": Level.ERROR,
        "text@v1": Level.ERROR,
        "absent@v1": Level.ERROR,
        "quiet@v1": Level.OK,
    }
    assert "ZeroDivisionError" in found["plug-in broken@v1"].found
    assert "built-in" in found["plug-in text@v1"].found
    assert "not allowed" in found["plug-in quiet@v1"].found
    assert all(one.remedy for one in found.values() if one.level is Level.ERROR)
