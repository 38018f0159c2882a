"""The command line: what it prints, what it refuses, and what it does not load."""

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graphql_api.cli import app
from graphql_api.commands.listening import PortInUse, bind_sockets
from graphql_api.commands.readiness import ReadyPipe, ready_teller
from graphql_api.commands.sdl import schema_text
from graphql_api.demo.facts import DemoFacts, read_facts, write_facts
from graphql_api.demo.operations import operation
from models.embedded.folder import DataFolder
from models.embedded.loopback import HOST
from tests.fixtures.plugins import SHOUT, Install

COMMANDS = (
    "up",
    "demo",
    "api",
    "worker",
    "engine",
    "doctor",
    "schema",
    "indexes",
    "rebuild-vectors",
    "extractors",
    "batch",
)
HEAVY = ("ray", "beanie", "pyarrow", "strawberry", "numpy", "uvicorn")
FACTS = DemoFacts("http://127.0.0.1:1/graphql", "key", "ns_1", "bkt_1", "col_1", "btc_1")


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for name in [name for name in os.environ if name.startswith("STRATA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")
    return CliRunner()


def test_help_lists_every_command(runner: CliRunner) -> None:
    result = runner.invoke(app, ["--help"])

    assert result.exit_code == 0
    assert [name for name in COMMANDS if f"│ {name} " not in result.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(runner: CliRunner, command: str) -> None:
    result = runner.invoke(app, [command, "--help"])

    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert "ready-fd" not in result.stdout  # between parent and child only


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from graphql_api.cli import main\n"
        "sys.argv = ['strata', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        f"print('loaded', [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert "Usage" in done.stdout
    assert done.stderr == "loaded []\n"


def test_version_is_that_of_the_package(runner: CliRunner) -> None:
    result = runner.invoke(app, ["--version"])

    assert (result.exit_code, result.stdout) == (0, "strata 0.1.0\n")


def test_an_unknown_option_is_a_usage_error(runner: CliRunner) -> None:
    result = runner.invoke(app, ["up", "--prot", "1"])

    assert result.exit_code == 2
    assert "--port" in result.stderr


def test_schema_is_printed_as_it_is(runner: CliRunner) -> None:
    result = runner.invoke(app, ["schema"])

    assert result.exit_code == 0
    assert result.stdout == schema_text()


def test_schema_check_accepts_the_same_and_refuses_another(
    runner: CliRunner, tmp_path: Path
) -> None:
    same, other = tmp_path / "same.graphql", tmp_path / "other.graphql"
    same.write_text(schema_text())
    other.write_text(schema_text().replace("type Mutation", "type Mutations"))

    assert runner.invoke(app, ["schema", "--check", str(same)]).exit_code == 0
    refused = runner.invoke(app, ["schema", "--check", str(other)])
    assert refused.exit_code == 1
    assert "SCHEMA_DIFFERS" in refused.stderr
    assert "-type Mutations" in refused.stderr


def test_the_page_of_extractors_is_that_of_this_version(runner: CliRunner, tmp_path: Path) -> None:
    page, other = Path(__file__).parents[2] / "docs" / "extractors.md", tmp_path / "other.md"
    other.write_text(page.read_text().replace("`chunk_size`", "`chunks`"))

    assert runner.invoke(app, ["extractors", "docs", "--check", str(page)]).exit_code == 0
    refused = runner.invoke(app, ["extractors", "docs", "--check", str(other)])
    assert refused.exit_code == 1
    assert "PAGE_DIFFERS" in refused.stderr
    assert "-| `chunks`" in refused.stderr


def test_extractors_are_listed_with_what_they_lack(
    runner: CliRunner,
    tmp_path: Path,
    install_plugin: Install,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offers = {"shout@v1": "shouting:Shout", "quiet@v1": "shouting:Quiet", "bad@v1": "breaking:Bad"}
    install_plugin("strata-shout", offers, shouting=SHOUT, breaking="1 / 0")
    monkeypatch.setenv("STRATA_EXTRACTORS__PLUGINS", '["shout@v1", "bad@v1"]')

    listed = runner.invoke(app, ["extractors", "list", "--data", str(tmp_path)])

    assert listed.exit_code == 0, listed.output
    rows = {line.split()[0]: line for line in listed.stdout.splitlines() if line.strip()}
    assert "built-in" in rows["text"]
    assert "available" in rows["text"]
    assert "the files of net" in rows["late_interaction"]
    assert "strata-shout 1.2" in rows["shout"]
    assert "available" in rows["shout"]
    assert "not allowed" in rows["quiet"]
    assert "cannot be" in rows["bad"]


def test_demo_without_a_running_strata_says_how_to_start_one(
    runner: CliRunner, tmp_path: Path
) -> None:
    result = runner.invoke(app, ["demo", "--data", str(tmp_path)])

    assert result.exit_code == 1
    assert "MISCONFIGURED" in result.stderr
    assert "strata up" in result.stderr


def test_demo_against_nobody_says_so(runner: CliRunner, tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    address = f"http://{HOST}:{port}/graphql"

    options = ["--data", str(tmp_path), "--endpoint", address, "--admin-key", "k"]
    result = runner.invoke(app, ["demo", *options])

    assert result.exit_code == 1
    assert "API_UNREACHABLE" in result.stderr


def test_up_refuses_a_folder_that_another_owns(runner: CliRunner, tmp_path: Path) -> None:
    with DataFolder(tmp_path):
        result = runner.invoke(app, ["up", "--data", str(tmp_path), "--port", "0"])

    assert result.exit_code == 1
    assert "EMBEDDED_FOLDER_IN_USE" in result.stderr
    assert f"process {os.getpid()}" in result.stderr


def test_up_refuses_a_busy_port_before_anything_starts(runner: CliRunner, tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        result = runner.invoke(app, ["up", "--data", str(tmp_path), "--port", port])

    assert result.exit_code == 1
    assert "PORT_IN_USE" in result.stderr
    assert "--port" in result.stderr
    assert not (tmp_path / "mongo").exists()
    with DataFolder(tmp_path):  # it was given back
        pass


def test_a_wrong_setting_is_named(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_ENGINE__BLOCK_ROWS", "many")

    result = runner.invoke(app, ["indexes"])

    assert result.exit_code == 1
    assert "STRATA_ENGINE__BLOCK_ROWS" in result.stderr


def test_loopback_is_served_beside_another_address() -> None:
    sockets = bind_sockets("127.0.0.2", 0)

    with sockets[0], sockets[1]:
        addresses = [one.getsockname() for one in sockets]
    assert [host for host, _ in addresses] == [HOST, "127.0.0.2"]
    assert len({port for _, port in addresses}) == 1


def test_a_port_is_not_shared_with_another_program() -> None:
    (ours,) = bind_sockets("localhost", 0)

    with ours, pytest.raises(PortInUse):
        bind_sockets(HOST, ours.getsockname()[1])


def test_a_child_tells_once_that_it_is_ready() -> None:
    pipe = ReadyPipe()
    assert not pipe()

    tell = ready_teller(os.dup(pipe.descriptor))
    tell()
    tell()

    assert pipe()
    assert not pipe()
    pipe.close()


def test_facts_are_for_their_owner_alone(tmp_path: Path) -> None:
    assert read_facts(tmp_path) is None

    write_facts(tmp_path, FACTS)

    path = tmp_path / "demo.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["apiKey"] == "key"
    assert read_facts(tmp_path) == FACTS


def test_facts_that_are_cut_short_are_none(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"endpoint": "http://')

    assert read_facts(tmp_path) is None


def test_operations_of_the_demo_are_the_published_ones() -> None:
    published = Path(__file__).parents[2] / "frontend_examples" / "operations"

    assert operation("batchEvents") == (published / "batchEvents.graphql").read_text()
