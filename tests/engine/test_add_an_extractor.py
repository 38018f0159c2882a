"""The guide, followed: its commands are run, and what they write runs through a batch."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.catalog import extractor_class
from engine.conformance import CHECKS
from engine.plugins import GROUP, allow_plugins, installed_plugins
from engine.pools import Pools
from graphql_api.cli import app
from models.states import BatchStatus, BlockStatus
from models.stores import Stores
from tests.engine.batches import blocks_of, documents_of, errors_of, run, submitted, texts_in
from tests.engine.batches import words_of as collection_of
from tests.extractors import choice
from tests.factories import make_bucket
from tests.fixtures.stores import NamespaceOfTest

pytestmark = pytest.mark.long

GUIDE = (Path(__file__).parents[2] / "docs" / "add-an-extractor.md").read_text()
OWN_TESTS = len(CHECKS) + 1


def commands(program: str) -> list[list[str]]:
    """Return the arguments of a program's calls in the guide, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    return [line[1:] for line in lines if line[0] == program]


def install(package: Path, site: Path) -> None:
    """Do what pip does with it, without a network: its metadata, and a path to its code."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    information = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    offers = [f"{name} = {value}" for name, value in project["entry-points"][GROUP].items()]
    (information / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *offers, ""]))
    (code,) = [path.parent for path in package.glob("*/__init__.py")]
    (site / code.name).symlink_to(code)


@pytest.fixture(scope="module")
def package(plugin_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The guide's package, written by its command, installed, and on this process's path."""
    (begin,) = [line for line in commands("strata") if line[:2] == ["extractors", "new"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("desk"))
        written = CliRunner().invoke(app, begin)
        assert written.exit_code == 0, written.output
        (folder,) = [line[0] for line in commands("cd")]
        made = Path(folder).absolute()
        install(made, plugin_site)
        patch.syspath_prepend(str(plugin_site))
        installed_plugins.cache_clear()
        yield made
    installed_plugins.cache_clear()


def test_its_tests_and_the_kit_pass(package: Path, plugin_site: Path) -> None:
    own, kit = commands("pytest")
    assert own == []
    label = kit[kit.index("--strata-extractor") + 1]
    environment = {**os.environ, "PYTHONPATH": str(plugin_site)}

    ran = subprocess.run(  # both of the guide's commands in one
        [sys.executable, "-P", "-m", "pytest", "tests", "--strata-extractor", label],
        cwd=package,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert f"{OWN_TESTS + len(CHECKS)} passed" in ran.stdout, ran.stdout + ran.stderr


def test_a_second_beginning_overwrites_nothing(package: Path) -> None:
    before = (package / "pyproject.toml").read_text()

    again = CliRunner().invoke(app, ["extractors", "new", "other", "--into", str(package)])

    assert again.exit_code == 1
    assert "FOLDER_IN_USE" in again.stderr
    assert (package / "pyproject.toml").read_text() == before
    assert not (package / "strata_other").exists()


@pytest.mark.parametrize("name", ["text", "Shout", "9lives", "a-b", "../a", ""])
def test_a_name_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["extractors", "new", name, "--into", str(tmp_path / "x")])

    assert refused.exit_code == 1
    assert "INVALID_INPUT" in refused.stderr
    assert not (tmp_path / "x").exists()


async def test_it_runs_through_a_batch(
    package: Path, stores: Stores, namespace: NamespaceOfTest, pools: Pools
) -> None:
    allow_plugins(re.findall(r"STRATA_EXTRACTORS__PLUGINS='\[\"(.*?)\"\]'", GUIDE))
    try:
        spec = extractor_class("shout@v1").spec
        bucket = make_bucket(namespace.id)
        chosen = choice(spec.label, shortest=2)
        words = collection_of(bucket, chosen, vectors=[])
        texts = texts_in(bucket, ["the sea rises", " ", "a moon"])
        batch = await submitted(stores, bucket, texts, words)

        ended = await run(stores, batch, pools)

        made = [one.fields for one in await documents_of(words)]
        assert made == [
            {"word_count": 3, "longest_word": "rises"},
            {"word_count": 1, "longest_word": "moon"},
        ]
        (error,) = await errors_of(batch)
        assert (error.message, error.extractor) == ("The text has no words.", "shout@v1")
        assert {block.status for block in await blocks_of(batch)} == {BlockStatus.DONE}
        assert (ended.status, ended.counts.rows_failed) == (BatchStatus.PROCESSING, 1)
    finally:
        allow_plugins(())
