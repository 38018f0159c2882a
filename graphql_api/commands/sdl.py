"""`strata schema`: the API's schema in GraphQL's own language."""

import difflib
from pathlib import Path

from models.errors import Permanent


class SchemaDiffers(Permanent):
    """A file holds another schema."""

    code = "SCHEMA_DIFFERS"


def schema_text() -> str:
    """Return the SDL, ending in one newline."""
    from graphql_api.schema import schema

    return f"{schema.as_str().rstrip()}\n"


def require_same(path: Path) -> None:
    """Raise, naming the first differences, unless the file is the schema of this version."""
    found = path.read_text().splitlines() if path.is_file() else []
    expected = schema_text().splitlines()
    changes = list(
        difflib.unified_diff(found, expected, str(path), "this version", lineterm="", n=1)
    )
    if changes:
        raise SchemaDiffers(
            f"{path} is not the schema of this version:\n" + "\n".join(changes[:40]),
            hint=f"Write it anew: strata schema > {path}",
        )
