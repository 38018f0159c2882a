"""The secrets of one data folder: made once, readable by their owner, handed on by environment."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "secrets.json"


@dataclass(frozen=True)
class Credentials:
    """Everything that opens something."""

    s3_access_key: str
    s3_secret_key: str
    qdrant_api_key: str
    ray_token: str
    admin_key: str
    sealing_key: str


def open_credentials(folder: Path) -> Credentials:
    """Those of the folder; the caller owns it, so nobody else is making them at this moment."""
    path = folder / FILE
    known = json.loads(path.read_text()) if path.exists() else {}
    found = Credentials(**{**asdict(_make()), **known})
    if asdict(found) != known:  # the folder, or one of the secrets, is new
        _write(path, found)
    return found


def _make() -> Credentials:
    return Credentials(
        s3_access_key=f"STRATA{secrets.token_hex(7).upper()}",
        s3_secret_key=secrets.token_urlsafe(30),
        qdrant_api_key=secrets.token_urlsafe(32),
        ray_token=secrets.token_hex(32),  # Ray asks for 64 hexadecimal digits
        admin_key=secrets.token_urlsafe(32),
        sealing_key=secrets.token_urlsafe(32),
    )


def _write(path: Path, made: Credentials) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    # Never readable by others, not even before a chmod.
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(made), file)
    fresh.replace(path)
