"""`strata extractors new`: a package with one extractor and its test, of the templates here."""

import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from engine.catalog import CATALOG
from models.errors import Conflict, InvalidInput

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_TEMPLATES: Final = {
    "README.md": "README.md.tmpl",
    "pyproject.toml": "pyproject.toml.tmpl",
    "strata_$name/__init__.py": "package.py.tmpl",
    "strata_$name/extractor.py": "extractor.py.tmpl",
    "tests/test_$name.py": "test.py.tmpl",
}


class FolderInUse(Conflict):
    """Something is there already."""

    code = "FOLDER_IN_USE"


def write_skeleton(name: str, into: Path | None = None) -> list[Path]:
    """Write the package; return its files.

    Raises:
        InvalidInput: it is no name for an extractor, or that of a built-in one.
        FolderInUse: the folder holds something, which is left as it is.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no name for an extractor.",
            hint="Begin with a lower-case letter; then lower-case letters, digits and underscores.",
        )
    if any(label.partition("@")[0] == name for label in CATALOG):
        raise InvalidInput(f"{name!r} is a built-in extractor.", hint="Choose another name.")
    values = {
        "name": name,
        "dashed": name.replace("_", "-"),
        "title": "".join(part.capitalize() for part in name.split("_")),
    }
    folder = into or Path(f"strata-{values['dashed']}")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FolderInUse(
            f"{folder} is there already.", hint="Remove it, or choose another with --into."
        )
    written: list[Path] = []
    for target, source in _TEMPLATES.items():
        path = folder / Template(target).substitute(values)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(Template((files(__name__) / source).read_text()).substitute(values))
        written.append(path)
    return written
