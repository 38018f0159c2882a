"""A child's log: appended to over restarts, kept short, its end shown on failure."""

import os
from pathlib import Path
from typing import BinaryIO

LIMIT_BYTES = 8 * 1024 * 1024
KEPT_BYTES = 1024 * 1024  # of what is cut off, in a second file beside the first
TAIL_BYTES = 16 * 1024
TAIL_LINES = 25


def open_log(path: Path) -> BinaryIO:
    """Open for a child to write; in append mode, or cutting the file would leave a hole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cap_log(path)
    return path.open("ab")


def cap_log(path: Path) -> None:
    """Empty a log that has grown too long, in place: its writer keeps its descriptor."""
    if not path.exists() or path.stat().st_size <= LIMIT_BYTES:
        return
    path.with_suffix(".old.log").write_bytes(_end_of(path, KEPT_BYTES))
    os.truncate(path, 0)


def log_tail(path: Path, since: int = 0) -> str:
    """The last lines, none of them older than the byte `since`."""
    if not path.exists():
        return ""
    fresh = path.stat().st_size - since
    lines = _end_of(path, min(TAIL_BYTES, fresh) if fresh > 0 else TAIL_BYTES).splitlines()
    return "\n".join(line.decode(errors="replace") for line in lines[-TAIL_LINES:])


def _end_of(path: Path, count: int) -> bytes:
    with path.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - count))
        return log.read()
