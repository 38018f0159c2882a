"""One open engine shard, shared by readers and replaced while they read.

A shard is a folder opened by one process. When an index build has made a better copy, or the
collection is deleted, the shard is retired: it closes, and its folder goes, with the last reader.
"""

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qdrant_edge import EdgeShard

log = logging.getLogger(__name__)


class OpenShard:
    """A shard with a count of those who read it."""

    def __init__(self, folder: Path, shard: EdgeShard) -> None:
        self.folder = folder
        self.shard = shard
        self._readers = 0
        self._retired = False
        self._lock = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[EdgeShard | None]:
        """The shard, kept open inside; None when it was retired before anyone came."""
        with self._lock:
            usable = not self._retired
            self._readers += usable
        try:
            yield self.shard if usable else None
        finally:
            if usable:
                self._leave()

    def retire(self) -> None:
        """No new readers; close and delete the folder once the present ones are through."""
        with self._lock:
            self._retired = True
            idle = self._readers == 0
        if idle:
            self._discard()

    def close(self) -> None:
        """Close for good with the data kept; no reader may be left."""
        self.shard.close()

    def _leave(self) -> None:
        with self._lock:
            self._readers -= 1
            last = self._retired and self._readers == 0
        if last:
            self._discard()

    def _discard(self) -> None:
        self.shard.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        log.info("shard folder %s is gone", self.folder.name)
