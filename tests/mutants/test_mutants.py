"""What keeps the mutants honest between two runs of `make mutants`."""

import ast
from pathlib import Path

from tests.mutants.catalog import MUTANTS
from tests.mutants.mutant import Edit, Mutant

ROOT = Path(__file__).parents[2]


def test_every_text_that_is_taken_out_is_there_exactly_once() -> None:
    assert [wrong for mutant in MUTANTS for wrong in mutant.misplaced(ROOT)] == []


def test_every_mutant_is_still_python() -> None:
    for mutant in MUTANTS:
        for edit in mutant.edits:
            changed = (ROOT / edit.file).read_text().replace(edit.text, edit.instead)
            ast.parse(changed)


def test_every_test_that_must_fail_exists() -> None:
    wanted = {test for mutant in MUTANTS for test in mutant.tests}

    absent = [test for test in wanted if not _defines(*test.split("::"))]

    assert absent == []


def _defines(path: str, name: str) -> bool:
    return f"def {name.split('[')[0]}(" in (ROOT / path).read_text()


def test_a_mutant_leaves_the_files_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "door.py").write_text("locked = True\n")
    mutant = Mutant("the door is open", (Edit("door.py", "True", "False"),), ())
    moved = Mutant("no such door", (Edit("door.py", "closed", ""),), ())

    with mutant.applied(tmp_path):
        assert (tmp_path / "door.py").read_text() == "locked = False\n"

    assert (tmp_path / "door.py").read_text() == "locked = True\n"
    assert mutant.misplaced(tmp_path) == []
    assert moved.misplaced(tmp_path) == ["no such door: 'closed' occurs 0 times in door.py"]
