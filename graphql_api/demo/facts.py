"""`<data>/demo.json`: what a script needs to find the demo; its owner alone may read it."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "demo.json"


@dataclass(frozen=True)
class DemoFacts:
    """Where the demo's data are and what opens them; names as in the API."""

    endpoint: str
    apiKey: str
    namespaceId: str
    bucketId: str
    collectionId: str
    batchId: str


def read_facts(data: Path) -> DemoFacts | None:
    """Return what an earlier demo left; None when there is nothing whole."""
    try:
        return DemoFacts(**json.loads((data / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_facts(data: Path, facts: DemoFacts) -> None:
    """Replace the file in one step."""
    write_private(data / FILE, json.dumps(asdict(facts), indent=2))


def write_private(path: Path, text: str) -> None:
    """Let a file appear whole, and never readable by others, not even before a chmod."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
