"""`strata schema`: the API's schema in GraphQL's own language."""

from pathlib import Path

from graphql_api.commands.generated import require_text
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
    hint = f"Write it anew: strata schema > {path}"
    require_text(path, schema_text(), error=SchemaDiffers, hint=hint)
