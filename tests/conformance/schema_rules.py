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
_BEFORE_AND_AFTER: Final = 2
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
    """Compare with the schema before its latest change; without history there is none to break."""
    found = _git("rev-list", "-2", "HEAD", "--", SCHEMA)
    commits = found.split() if found else []
    if len(commits) < _BEFORE_AND_AFTER:
        print("no earlier schema to compare with")
        return True
    changed = _git("status", "--porcelain", "--", SCHEMA)
    before = _git("show", f"{commits[0] if changed else commits[1]}:{SCHEMA}")
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "before.graphql"
        old.write_text(before or "")
        return run_tool("graphql-inspector", "diff", str(old), schema)


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return None if done.returncode else done.stdout
