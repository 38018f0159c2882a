"""Index and blobs together, and the order in which they change.

A body is written first, then one transaction checks the conditions and swaps the row, then the
old body goes. Killed anywhere in between, the store holds the old object or the new one.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection

from models.embedded.s3_front.blobs import Blobs
from models.embedded.s3_front.index import Index
from models.embedded.s3_front.uploads import close_stale

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Store:
    """Everything the front keeps."""

    index: Index
    blobs: Blobs

    @contextmanager
    def changing(self) -> Iterator[tuple[Connection, list[str]]]:
        """A transaction, and the list of blobs to drop once it is on record."""
        stale: list[str] = []
        with self.index.writing() as db:
            yield db, stale
        try:
            self.blobs.drop(stale)
        except OSError:  # the change is on record; the next start sweeps what is left
            log.exception("could not remove %d replaced blobs", len(stale))


def open_store(data: Path, *, durable: bool) -> Store:
    data.mkdir(parents=True, exist_ok=True)
    blobs = Blobs(data / "blobs", durable=durable)
    return Store(Index(data / "index.sqlite", durable=durable), blobs)


def sweep_orphans(store: Store) -> None:
    """Remove bodies that no row names: what a kill between two steps leaves behind."""
    with store.index.live_blobs() as live:
        removed = store.blobs.sweep(live)
    log.info("swept %d orphan blobs", removed)


def close_stale_uploads(store: Store, *, older_than: int) -> None:
    """Give up uploads that nobody finished within this many seconds."""
    before = int((time.time() - older_than) * 1000)
    with store.changing() as (db, stale):
        stale += close_stale(db, before=before)
