"""Rows of objects: read, swapped, deleted; each change is one transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Connection, Row
from typing import Final, NamedTuple

from models.embedded.s3_front.buckets import require_bucket
from models.embedded.s3_front.checksums import Algorithm, Checksum, ChecksumType
from models.embedded.s3_front.conditions import WriteConditions
from models.embedded.s3_front.errors import S3Error

NOT_CONDITIONAL: Final = WriteConditions()


class Piece(NamedTuple):
    """A blob and its size; an object is one piece, or one per part of its upload."""

    blob: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object as the index knows it; `headers` are the ones it is answered with."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: int  # milliseconds since 1970
    headers: Mapping[str, str]
    tags: Mapping[str, str]
    pieces: tuple[Piece, ...]
    checksum: Checksum | None

    @property
    def blobs(self) -> list[str]:
        return [piece.blob for piece in self.pieces]


def dump_checksum(checksum: Checksum | None) -> str:
    return json.dumps([checksum.algorithm, checksum.value, checksum.kind] if checksum else None)


def load_checksum(text: str) -> Checksum | None:
    parts = json.loads(text)
    return Checksum(Algorithm(parts[0]), parts[1], ChecksumType(parts[2])) if parts else None


def load_object(row: Row) -> StoredObject:
    return StoredObject(
        bucket=row["bucket"],
        key=row["key"],
        size=row["size"],
        etag=row["etag"],
        modified=row["modified"],
        headers=json.loads(row["headers"]),
        tags=json.loads(row["tags"]),
        pieces=tuple(Piece(*piece) for piece in json.loads(row["pieces"])),
        checksum=load_checksum(row["checksum"]),
    )


def find_object(db: Connection, bucket: str, key: str) -> StoredObject | None:
    row = db.execute("SELECT * FROM objects WHERE bucket = ? AND key = ?", (bucket, key)).fetchone()
    return load_object(row) if row else None


def require_object(db: Connection, bucket: str, key: str) -> StoredObject:
    found = find_object(db, bucket, key)
    if found is None:
        require_bucket(db, bucket)
        raise S3Error("NoSuchKey")
    return found


def swap_object(
    db: Connection, new: StoredObject, conditions: WriteConditions = NOT_CONDITIONAL
) -> list[str]:
    """Put the new row in the place of the old; returns the blobs that lost their row."""
    require_bucket(db, new.bucket)
    current = find_object(db, new.bucket, new.key)
    conditions.check(current)
    db.execute(
        "INSERT OR REPLACE INTO objects"
        " (bucket, key, size, etag, modified, checksum, headers, tags, pieces)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new.bucket,
            new.key,
            new.size,
            new.etag,
            new.modified,
            dump_checksum(new.checksum),
            json.dumps(dict(new.headers)),
            json.dumps(dict(new.tags)),
            json.dumps(new.pieces),
        ),
    )
    return current.blobs if current else []


def delete_keys(db: Connection, bucket: str, keys: Sequence[str]) -> list[str]:
    """Delete rows; a key that is not there counts as deleted, as in S3."""
    require_bucket(db, bucket)
    stale: list[str] = []
    for key in keys:
        if current := find_object(db, bucket, key):
            stale += current.blobs
            db.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
    return stale


def set_tags(db: Connection, bucket: str, key: str, tags: Mapping[str, str]) -> None:
    require_object(db, bucket, key)
    db.execute(
        "UPDATE objects SET tags = ? WHERE bucket = ? AND key = ?",
        (json.dumps(dict(tags)), bucket, key),
    )
