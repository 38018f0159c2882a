"""The SQLite file behind the front: schema, connections, transactions.

One connection writes, under a lock; every thread reads through one of its own. WAL lets them run
side by side. What the rows mean is in `buckets`, `objects` and `uploads`.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS buckets (
  name TEXT PRIMARY KEY, created INTEGER NOT NULL, region TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS configurations (
  bucket TEXT NOT NULL, kind TEXT NOT NULL, document BLOB NOT NULL,
  PRIMARY KEY (bucket, kind)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
  bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
  modified INTEGER NOT NULL, checksum TEXT NOT NULL, headers TEXT NOT NULL,
  tags TEXT NOT NULL, pieces TEXT NOT NULL, PRIMARY KEY (bucket, key));
CREATE TABLE IF NOT EXISTS uploads (
  id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, created INTEGER NOT NULL,
  checksum TEXT NOT NULL, headers TEXT NOT NULL, tags TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads (bucket, key, id);
CREATE TABLE IF NOT EXISTS parts (
  upload TEXT NOT NULL, number INTEGER NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL,
  etag TEXT NOT NULL, checksum TEXT NOT NULL, modified INTEGER NOT NULL,
  PRIMARY KEY (upload, number)) WITHOUT ROWID;
"""
LIVE: Final = """
CREATE TEMP TABLE live (blob TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT INTO live SELECT piece.value ->> 0 FROM objects, json_each(objects.pieces) AS piece;
INSERT INTO live SELECT blob FROM parts;
"""
PATIENCE: Final = 30.0  # seconds a connection waits for another's lock


class Index:
    """Where everything but the bodies is kept."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        self._path = path
        self._synchronous = "FULL" if durable else "NORMAL"
        self._lock = threading.Lock()
        self._local = threading.local()
        self._writer = self._connect()
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.executescript(SCHEMA)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone; it is on record when the block ends, or not at all."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @property
    def reading(self) -> sqlite3.Connection:
        """This thread's own connection."""
        if not hasattr(self._local, "connection"):
            self._local.connection = self._connect()
            self._local.connection.execute("PRAGMA query_only = ON")
        connection: sqlite3.Connection = self._local.connection
        return connection

    @contextmanager
    def live_blobs(self) -> Iterator["LiveBlobs"]:
        connection = self._connect()
        try:
            connection.executescript(LIVE)
            yield LiveBlobs(connection)
        finally:
            connection.close()

    def close(self) -> None:
        """Fold the log back into the file; readers close with their threads."""
        with self._lock:
            self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        return connection


class LiveBlobs:
    """Every blob that a row names, asked for folder by folder to keep memory flat."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __call__(self, folder: str) -> set[str]:
        # "g" follows every hexadecimal digit.
        rows = self._connection.execute(
            "SELECT blob FROM live WHERE blob BETWEEN ? AND ?", (folder, f"{folder}g")
        )
        return {row["blob"] for row in rows}
