"""Gate: schemathesis asks five thousand questions, and none of them is a failure of the server."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from graphql_api.rights import ROOT_FIELDS, Right
from tests.conformance.target import HERE, Target

CASES: Final = 5000
SEED: Final = "20261125"
_EXAMPLES: Final = "140"  # of each field
_CHECKS: Final = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)
_SECONDS: Final = 3600
# It asks with ids that it was shown, and after one of these with a key that opens nothing.
_ITS_OWN_END: Final = (
    "Mutation.deleteNamespace",
    "Mutation.revokeApiKey",
    "Mutation.rotateApiKey",
)


def run(target: Target) -> bool:
    """Return whether it holds."""
    program = HERE / ".venv" / "bin" / "schemathesis"
    if not program.exists():
        print("schemathesis is missing: run `make conformance`")
        return False
    # To the fuzzer a field that is not for this key looks like a failure of the server.
    foreign = [name for name, right in ROOT_FIELDS.items() if right is Right.OPERATOR]
    excluded = [option for name in (*foreign, *_ITS_OWN_END) for option in ("--exclude-name", name)]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [program, "run", target.endpoint, "--header", f"Authorization: Bearer {target.key}",
             "--max-examples", _EXAMPLES, "--seed", SEED, "--continue-on-failure",
             "--checks", _CHECKS, "--no-color", "--report", "ndjson",
             "--report-dir", folder, *excluded],
            cwd=HERE, timeout=_SECONDS, check=False, text=True, capture_output=True,
            env={
                **os.environ, "PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
                "FOREIGN_FIELDS": "|".join(name.partition(".")[2] for name in foreign),
            },
        )  # fmt: skip
        cases = sum(_count(path) for path in Path(folder).glob("*.ndjson"))
    print(done.stdout[-6000:], done.stderr[-2000:])
    passed = done.returncode == 0 and cases >= CASES
    print(json.dumps({"gate": "fuzzing", "passed": int(passed), "of": 1, "cases": cases}))
    return passed


def _count(path: Path) -> int:
    """Return how many cases a report tells of."""
    found = 0
    for line in path.read_text().splitlines():
        event = json.loads(line)
        recorder = event.get("ScenarioFinished", {}).get("recorder", {})
        found += len(recorder.get("interactions", {}))
    return found
