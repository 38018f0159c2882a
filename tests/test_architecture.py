"""Rules of the house that a machine can check, and the sizes that only a person can judge."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import dramatiq
import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("models", "engine", "workers", "graphql_api")
# Who is asked for without a namespace: keys before anybody is known, and the namespace itself.
RAW_HANDLES_ALLOWED = {"graphql_api/permissions.py"}


def sources(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def test_packages_are_those_of_this_folder() -> None:
    import engine
    import graphql_api
    import models
    import workers

    for package in (models, engine, workers, graphql_api):
        assert package.__file__ is not None
        assert Path(package.__file__).is_relative_to(ROOT)


def test_every_test_folder_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}

    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_the_catalogue_loads_no_extractor_and_nothing_heavy() -> None:
    heavy = "ray beanie pymongo redis qdrant_client onnxruntime tokenizers engine.extractors.text"
    code = f"import sys, engine.catalog; print([m for m in '{heavy}'.split() if m in sys.modules])"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_resolvers_reach_documents_through_a_scope_only() -> None:
    raw = re.compile(r"get_pymongo_collection|\.find_one\(|\.aggregate\(")
    found = {
        str(path.relative_to(ROOT))
        for path in sources("graphql_api")
        if raw.search(path.read_text())
    }

    assert found <= RAW_HANDLES_ALLOWED


def test_each_actor_names_its_queue_and_its_time_limit() -> None:
    from workers.actors import batches, caches, webhooks

    actors = [
        value
        for module in (batches, caches, webhooks)
        for value in vars(module).values()
        if isinstance(value, dramatiq.Actor)
    ]

    assert len(actors) >= 3
    for actor in actors:
        assert actor.queue_name != "default"
        assert actor.options["time_limit"] > 0


@pytest.mark.parametrize("path", sources("engine/extractors"), ids=lambda path: path.stem)
def test_each_extractor_has_a_test_file(path: Path) -> None:
    if path.stem == "__init__":
        return
    assert list((ROOT / "tests" / "engine").rglob(f"test_*{path.stem}*.py"))


def test_prints_the_longest_files_and_functions(capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted(((len(p.read_text().splitlines()), p) for p in sources(*PACKAGES)), reverse=True)
    functions = sorted(
        (
            (node.end_lineno or node.lineno) - node.lineno + 1,
            f"{path.relative_to(ROOT)}:{node.lineno} {node.name}",
        )
        for path in sources(*PACKAGES)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    with capsys.disabled():
        print("\nlongest files and functions:")
        for lines, path in files[:10]:
            print(f"  {lines:5d}  {path.relative_to(ROOT)}")
        for lines, name in functions[:-11:-1]:
            print(f"  {lines:5d}  {name}")
    assert files
