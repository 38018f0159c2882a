"""The demo's corpus against the standard library that this interpreter has."""

import ast
import functools
import inspect
import os
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from graphql_api.demo.corpus import Docstring, collect_docstrings
from graphql_api.demo.library import CALL_BYTES, CALL_OBJECTS, FIELDS, in_calls

LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}


@pytest.fixture(scope="module")
def corpus() -> list[Docstring]:
    return list(collect_docstrings())


def by_key(corpus: list[Docstring], key: str) -> Docstring:
    (found,) = [one for one in corpus if one.key == key]
    return found


def write_module(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_has_every_docstring_that_another_count_finds(corpus: list[Docstring]) -> None:
    counted = sum(_count(path) for path in _files())

    assert len(corpus) == counted
    assert len(corpus) > 5000


def test_keys_are_unique(corpus: list[Docstring]) -> None:
    assert len({one.key for one in corpus}) == len(corpus)


@pytest.mark.long
def test_is_the_same_each_time(corpus: list[Docstring]) -> None:
    assert list(collect_docstrings()) == corpus


def test_describes_a_known_function(corpus: list[Docstring]) -> None:
    found = by_key(corpus, "functools:lru_cache")

    source, line = inspect.getsourcelines(functools.lru_cache)
    assert (found.module, found.name, found.kind) == ("functools", "lru_cache", "function")
    assert found.signature == str(inspect.signature(functools.lru_cache)).replace(" = ", "=")
    assert found.line == line
    assert source[0].startswith("def lru_cache")
    assert found.content == inspect.getdoc(functools.lru_cache)


def test_describes_a_class_its_method_and_its_module(corpus: list[Docstring]) -> None:
    assert by_key(corpus, "argparse:ArgumentParser").kind == "class"
    assert by_key(corpus, "bisect").kind == "module"
    method = by_key(corpus, "random:Random.shuffle")
    assert (method.name, method.signature) == ("Random.shuffle", "(self, x)")


def fields_of(docstring: Docstring) -> set[str]:
    made = docstring.as_object()
    return {*made["metadata"], *(blob["property"] for blob in made["blobs"])}


def test_an_object_has_exactly_the_fields_of_the_bucket(corpus: list[Docstring]) -> None:
    names = {str(field["name"]) for field in FIELDS}

    assert fields_of(replace(corpus[0], also=("other",))) == names
    assert fields_of(replace(corpus[0], also=())) == names - {"also"}


def test_names_of_redefinitions_are_numbered(tmp_path: Path) -> None:
    text = "".join(f'def f():\n    "number {number}"\n' for number in (1, 2, 3))
    write_module(tmp_path, "twice.py", text)

    keys = {one.key: one.content for one in collect_docstrings(tmp_path)}

    assert keys == {"twice:f": "number 1", "twice:f#2": "number 2", "twice:f#3": "number 3"}


def test_names_of_inner_functions_are_qualified_as_python_does(tmp_path: Path) -> None:
    text = 'class A:\n  def f(self):\n    async def g(x, *, y=1):\n      "inner"\n    return g\n'
    write_module(tmp_path, "package/__init__.py", text)

    (found,) = collect_docstrings(tmp_path)

    assert found.key == "package:A.f.<locals>.g"
    assert found.signature == "(x, *, y=1)"


def test_leaves_out_what_is_empty_foreign_or_not_python(tmp_path: Path) -> None:
    write_module(tmp_path, "empty.py", '"   "\ndef f(): pass\nx = "no docstring"\n')
    write_module(tmp_path, "broken.py", '"a template"\ndef {name}(): pass\n')
    write_module(tmp_path, "site-packages/other.py", '"foreign"\n')
    write_module(tmp_path, "json/tests/case.py", '"a test"\n')
    write_module(tmp_path, "kept.py", '"kept"\n')

    assert [one.key for one in collect_docstrings(tmp_path)] == ["kept"]


def test_calls_hold_everything_once_within_the_limits(corpus: list[Docstring]) -> None:
    calls = list(in_calls(iter(corpus)))

    assert [one["key"] for call in calls for one in call] == [one.key for one in corpus]
    assert max(len(call) for call in calls) == CALL_OBJECTS


def test_calls_are_cut_by_size_as_well(corpus: list[Docstring]) -> None:
    large = Docstring("k", "m", "n", "module", "", line=1, content="x" * (CALL_BYTES // 2))

    assert [len(call) for call in in_calls(iter([large] * 3))] == [1, 1, 1]


def _files() -> Iterator[Path]:
    for folder, inner, files in os.walk(sysconfig.get_paths()["stdlib"]):
        inner[:] = [name for name in inner if name not in LEFT_OUT]
        yield from (Path(folder) / name for name in files if name.endswith(".py"))


def _count(path: Path) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            return 0
    return sum(_has_docstring(node) for node in ast.walk(tree))


def _has_docstring(node: ast.AST) -> bool:
    """As the language reference has it: the first statement, when it is a string."""
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    match node.body:
        case [ast.Expr(value=ast.Constant(value=str(text))), *_]:
            return bool(text.strip())
    return False
