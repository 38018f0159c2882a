"""Every core scenario has a test that carries its number, and docs/reliability.md tells which."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Groups A to D, processes, dependencies, input, live status and webhooks; S3, S13, S14, S30, S33
# and S35 are for machines of their own.
CORE = {*range(1, 40)} - {3, 13, 14, 30, 33, 35}
_TEST = re.compile(r"^\s*(?:async )?def (test_s(\d+)_\w+)\(", re.MULTILINE)
_ROW = re.compile(r"^\| S(\d+) \|.*$", re.MULTILINE)


def numbered() -> dict[str, int]:
    """Return the number of every test that carries one."""
    found: dict[str, int] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        found |= {name: int(number) for name, number in _TEST.findall(path.read_text())}
    return found


def told() -> dict[int, list[str]]:
    """Return the tests that the table names, by scenario."""
    table = (ROOT / "docs" / "reliability.md").read_text()
    return {
        int(row.group(1)): re.findall(r"`(test_\w+)`", row.group(0)) for row in _ROW.finditer(table)
    }


def test_every_core_scenario_has_a_test_of_its_number() -> None:
    assert CORE - set(numbered().values()) == set()


def test_the_table_tells_of_every_core_scenario() -> None:
    table = told()

    assert CORE - table.keys() == set()
    assert [number for number, names in table.items() if not names] == []


def test_the_table_names_tests_that_exist_under_their_number() -> None:
    known = numbered()

    wrong = [
        name for number, names in told().items() for name in names if known.get(name) != number
    ]

    assert wrong == []
