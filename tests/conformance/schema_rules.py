"""Gate: the schema and the example operations, by the linters of their field; no breaking change.

graphql-eslint (recommended and Relay rules), graphql-schema-linter, graphql-inspector's validation
of the operations, and its comparison with the schema that is committed. None needs a server.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.conformance.target import HERE, ROOT, Target, run_tool

SCHEMA: Final = "graphql_api/schema.graphql"
OPERATIONS: Final = "frontend_examples/operations/*.graphql"
_ESLINT: Final = ("--max-warnings=0", "--config", str(HERE / "eslint.config.js"))


def run(target: Target) -> bool:
    """Return whether all of them are content; each says what it found."""
    schema = str(ROOT / SCHEMA)
    return all(
        [
            run_tool("eslint", *_ESLINT, SCHEMA, OPERATIONS, cwd=ROOT),
            run_tool("graphql-schema-linter", schema),
            run_tool("graphql-inspector", "validate", f"{ROOT}/{OPERATIONS}", schema),
            _breaks_nothing(schema),
        ]
    )


def _breaks_nothing(schema: str) -> bool:
    """Compare with what is committed; where there is no history there is nothing to break."""
    shown = subprocess.run(
        ["git", "show", f"HEAD:{SCHEMA}"], cwd=ROOT, capture_output=True, text=True
    )
    if shown.returncode:
        print("no committed schema to compare with")
        return True
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "committed.graphql"
        old.write_text(shown.stdout)
        return run_tool("graphql-inspector", "diff", str(old), schema)
