"""Files that are made of the code and kept beside it: are they those of this version?"""

import difflib
from pathlib import Path

from models.errors import Permanent

_SHOWN_LINES = 40


def require_text(path: Path, expected: str, *, error: type[Permanent], hint: str) -> None:
    """Raise, naming the first differences, unless a file holds the text."""
    found = path.read_text().splitlines() if path.is_file() else []
    changes = list(
        difflib.unified_diff(
            found, expected.splitlines(), str(path), "this version", lineterm="", n=1
        )
    )
    if changes:
        shown = "\n".join(changes[:_SHOWN_LINES])
        raise error(f"{path} is not that of this version:\n{shown}", hint=hint)
