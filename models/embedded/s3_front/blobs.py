"""Bodies as files named by random id, in 256 two-letter folders.

A blob is written once and never changed. It is reached only through a row of the index, so a
file without a row is garbage: `sweep` removes it at the next start. A blob being read is pinned,
and dropping it waits for the last reader.
"""

import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final, TypeVar

Row = TypeVar("Row")
FOLDERS: Final = tuple(f"{number:02x}" for number in range(256))


class Blobs:
    """The folder of bodies; every method does file work and belongs in a thread."""

    def __init__(self, root: Path, *, durable: bool) -> None:
        self._root = root
        self._durable = durable
        self._lock = Lock()
        self._pins: Counter[str] = Counter()
        self._dropped: set[str] = set()
        for folder in FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
        if durable:
            sync_folder(root)
            sync_folder(root.parent)

    def create(self) -> tuple[str, BinaryIO]:
        blob = secrets.token_hex(16)
        return blob, self._path(blob).open("xb")

    def open(self, blob: str) -> BinaryIO:
        return self._path(blob).open("rb")

    def seal(self, blob: str, file: BinaryIO) -> None:
        """Close a written blob; when durable, it is on disk before any row names it."""
        file.flush()
        if self._durable:
            os.fsync(file.fileno())
            sync_folder(self._path(blob).parent)
        file.close()

    def link(self, blob: str) -> str:
        """A second name for the same bytes: a copy that costs nothing and lives on its own."""
        copy = secrets.token_hex(16)
        os.link(self._path(blob), self._path(copy))
        if self._durable:
            sync_folder(self._path(copy).parent)
        return copy

    def pin(self, read: Callable[[], Row], blobs_of: Callable[[Row], Sequence[str]]) -> Row:
        """Read a row and pin its blobs in one step, so that no swap comes between the two."""
        with self._lock:
            row = read()
            self._pins.update(blobs_of(row))
            return row

    def unpin(self, blobs: Sequence[str]) -> None:
        with self._lock:
            self._pins.subtract(blobs)
            free = {blob for blob in blobs if self._pins[blob] <= 0}
            for blob in free:
                del self._pins[blob]
            doomed = free & self._dropped
            self._dropped -= doomed
        self._unlink(doomed)

    def drop(self, blobs: Iterable[str]) -> None:
        """Remove blobs that no row names any more, each after its last reader."""
        blobs = set(blobs)
        with self._lock:
            pinned = {blob for blob in blobs if blob in self._pins}
            self._dropped |= pinned
        self._unlink(blobs - pinned)

    def sweep(self, live: Callable[[str], set[str]]) -> int:
        """Remove what a killed process left behind; `live` names the blobs of one folder."""
        removed = 0
        for folder in FOLDERS:
            orphans = set(os.listdir(self._root / folder)) - live(folder)
            self._unlink(orphans)
            removed += len(orphans)
        return removed

    def _path(self, blob: str) -> Path:
        return self._root / blob[:2] / blob

    def _unlink(self, blobs: Iterable[str]) -> None:
        for blob in blobs:
            self._path(blob).unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
