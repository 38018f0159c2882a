"""The data folder: one owner at a time, and a list of its children that outlives the owner.

lock            held while somebody owns the folder; names the owner
children.json   pid and start time of each child, and temporary folders, for the next owner to clear
secrets.json    see `credentials`
logs/ <server>/ one file, one folder for each server
"""

import fcntl
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from models.embedded.errors import FolderInUse
from models.embedded.sessions import end_all, marked, remains

# Leftovers had their SIGTERM when their parent died. mongod needs a second, Ray's agents ignore it.
LEFTOVER_GRACE = 3.0


@dataclass(frozen=True)
class Entry:
    """One child as the next owner will look for it."""

    pid: int
    started: float
    scratch: str | None = None  # a folder outside the data folder, removed with the child


class DataFolder:
    """Where the servers keep what they know."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None
        self._children: dict[str, Entry] = {}

    def __enter__(self) -> Self:
        """Take it."""
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.release()

    @property
    def logs(self) -> Path:
        """One file for each child."""
        return self.path / "logs"

    def room(self, name: str) -> Path:
        """The folder of one server, made when first asked for."""
        room = self.path / name
        room.mkdir(parents=True, exist_ok=True)
        return room

    def acquire(self) -> None:
        """Become the only owner and clear what a killed one left behind."""
        if self._lock is not None:
            return
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _locked(self.path / "lock")
        self._clear_leftovers()

    def release(self) -> None:
        """Let somebody else have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remember(self, name: str, entry: Entry) -> None:
        """Note a child as soon as it runs."""
        self._children[name] = entry
        self._write()

    def forget(self, name: str) -> None:
        """Strike out a child that has ended."""
        if self._children.pop(name, None):
            self._write()

    def _write(self) -> None:
        listed = {name: asdict(entry) for name, entry in self._children.items()}
        fresh = self.path / "children.json.new"
        fresh.write_text(json.dumps(listed))
        fresh.replace(self.path / "children.json")

    def _clear_leftovers(self) -> None:
        entries = _read_entries(self.path / "children.json")
        known = [p for entry in entries for p in remains(entry.pid, entry.started)]
        # We hold the lock, so whoever else carries this folder's mark has lost its owner.
        end_all({*known, *marked(self.path)}, grace=LEFTOVER_GRACE)
        for entry in entries:
            if entry.scratch:
                shutil.rmtree(entry.scratch, ignore_errors=True)
        self._children = {}
        self._write()


def _locked(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(lock, 32).decode(errors="replace").strip()
        os.close(lock)
        raise FolderInUse(
            f"{path.parent} belongs to process {owner or 'unknown'}",
            hint="Stop that one first, or choose another data folder.",
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock


def _read_entries(path: Path) -> list[Entry]:
    try:
        return [Entry(**entry) for entry in json.loads(path.read_text()).values()]
    except (OSError, ValueError, TypeError):
        return []  # none yet, or cut short by a crash while writing the very first one
