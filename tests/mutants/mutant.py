"""A mutant: the product with one defence taken out, and the tests that are there to notice."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """A text of a file and what stands in its place; it must occur exactly once."""

    file: str
    text: str
    instead: str


@dataclass(frozen=True)
class Mutant:
    """Edits that take out a defence; every one of the tests must fail without it."""

    name: str  # the sentence that is true of the mutant
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]

    def misplaced(self, root: Path) -> list[str]:
        """Return what a refactoring left behind: texts that are not there exactly once."""
        found = [(edit, (root / edit.file).read_text().count(edit.text)) for edit in self.edits]
        return [
            f"{self.name}: {edit.text!r} occurs {count} times in {edit.file}"
            for edit, count in found
            if count != 1
        ]

    @contextmanager
    def applied(self, root: Path) -> Iterator[None]:
        """Change the files of a copy for the length of a block."""
        before = {root / edit.file: (root / edit.file).read_text() for edit in self.edits}
        try:
            for edit in self.edits:
                path = root / edit.file
                path.write_text(path.read_text().replace(edit.text, edit.instead))
            yield
        finally:
            for path, text in before.items():
                path.write_text(text)
