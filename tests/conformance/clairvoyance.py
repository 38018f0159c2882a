"""Gate: clairvoyance, a tool that rebuilds schemas from suggestions, learns no name from the API.

Its word list are the schema's names with a slip each, and the words of its own list that are no
names: whatever else it recovers, an answer told it. The gate `disclosure` asks more thoroughly.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from graphql import GraphQLSchema, build_schema, specified_directives, specified_scalar_types

from tests.conformance.disclosure import names_of, slips_of
from tests.conformance.target import HERE, ROOT, Target

_SECONDS: Final = 120  # ten where it learns nothing; with every answer that helps it asks more
_AT_ONCE: Final = "2"
_RIGHT: Final = "namespace"  # a name in the list, which shows that the tool works at all
_WITH_IT: Final = frozenset({"Namespace"})  # who guesses a field is told that its type has fields
_PLACEHOLDER: Final = "dummy"  # the tool's own, for a type of which it knows no field
_ROOTS: Final = frozenset({"Query", "Mutation", "Subscription"})  # `__typename` is nobody's secret


def run(target: Target) -> bool:
    """Return whether it recovers nothing."""
    python = HERE / ".venv" / "bin" / "python"
    if not python.exists():
        print("clairvoyance is missing: run `make conformance`")
        return False
    schema = build_schema((ROOT / "graphql_api" / "schema.graphql").read_text())
    words = _words(schema)
    with tempfile.TemporaryDirectory() as folder:
        listed, recovered = Path(folder) / "words.txt", Path(folder) / "recovered.json"
        listed.write_text("\n".join(words))
        done = subprocess.run(
            [python, "-P", "clairvoyance_in_tens.py", target.endpoint,
             "-H", f"Authorization: Bearer {target.reader}", "-w", listed,
             "-c", _AT_ONCE, "-o", recovered],
            cwd=HERE, timeout=_SECONDS, check=False, text=True, capture_output=True,
        )  # fmt: skip
        if not recovered.exists():
            print(done.stdout[-1000:], done.stderr[-2000:])
            return False
        found = _recovered(json.loads(recovered.read_text()))
    told = sorted(found - set(words) - _WITH_IT)
    print(f"{len(words)} words, {len(found)} names recovered; not of the list: {told or 'none'}")
    return not told and _RIGHT in found


def _words(schema: GraphQLSchema) -> list[str]:
    names = names_of(schema)
    return sorted({slip for name in names for slip in slips_of(name)} - names | {_RIGHT})


def _recovered(schema: dict[str, Any]) -> set[str]:
    """Return every name in the schema that it wrote, but for those that every schema has."""
    builtin = {one.name for one in specified_directives} | specified_scalar_types.keys()
    found: set[str] = set()
    for kind in schema["data"]["__schema"]["types"]:
        found.add(kind["name"])
        for field in (kind.get("fields") or []) + (kind.get("inputFields") or []):
            found |= {field["name"], *(one["name"] for one in field.get("args") or [])}
    found -= builtin | _ROOTS | {_PLACEHOLDER}
    return {name for name in found if not name.startswith("__")}
