"""Rows of multipart uploads and their parts."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from sqlite3 import Connection, Row

from models.embedded.s3_front.buckets import require_bucket
from models.embedded.s3_front.checksums import Checksum
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.objects import Piece, dump_checksum, load_checksum


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An object in the making; `checksum` names algorithm and type, its value is empty."""

    id: str
    bucket: str
    key: str
    created: int
    headers: Mapping[str, str]
    tags: Mapping[str, str]
    checksum: Checksum | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One uploaded part."""

    number: int
    piece: Piece
    etag: str
    modified: int
    checksum: Checksum | None


def new_upload_id() -> str:
    return secrets.token_hex(16)


def create_upload(db: Connection, upload: Upload) -> None:
    require_bucket(db, upload.bucket)
    db.execute(
        "INSERT INTO uploads (id, bucket, key, created, checksum, headers, tags)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            upload.id,
            upload.bucket,
            upload.key,
            upload.created,
            dump_checksum(upload.checksum),
            json.dumps(dict(upload.headers)),
            json.dumps(dict(upload.tags)),
        ),
    )


def load_upload(row: Row) -> Upload:
    return Upload(
        id=row["id"],
        bucket=row["bucket"],
        key=row["key"],
        created=row["created"],
        headers=json.loads(row["headers"]),
        tags=json.loads(row["tags"]),
        checksum=load_checksum(row["checksum"]),
    )


def require_upload(db: Connection, bucket: str, key: str, upload: str) -> Upload:
    row = db.execute(
        "SELECT * FROM uploads WHERE id = ? AND bucket = ? AND key = ?", (upload, bucket, key)
    ).fetchone()
    if row is None:
        require_bucket(db, bucket)
        raise S3Error("NoSuchUpload")
    return load_upload(row)


def uploads_from(db: Connection, bucket: str, *, start: tuple[str, str]) -> list[Upload]:
    """Open uploads of a bucket behind (key, id), in order."""
    require_bucket(db, bucket)
    rows = db.execute(
        "SELECT * FROM uploads WHERE bucket = ? AND (key, id) > (?, ?) ORDER BY key, id",
        (bucket, *start),
    )
    return [load_upload(row) for row in rows]


def load_part(row: Row) -> Part:
    return Part(
        number=row["number"],
        piece=Piece(row["blob"], row["size"]),
        etag=row["etag"],
        modified=row["modified"],
        checksum=load_checksum(row["checksum"]),
    )


def parts_of(db: Connection, upload: str, *, after: int = 0) -> list[Part]:
    rows = db.execute(
        "SELECT * FROM parts WHERE upload = ? AND number > ? ORDER BY number", (upload, after)
    )
    return [load_part(row) for row in rows]


def put_part(db: Connection, upload: str, part: Part) -> list[str]:
    """Record a part; sent again, it takes the place of the first."""
    old = db.execute(
        "SELECT blob FROM parts WHERE upload = ? AND number = ?", (upload, part.number)
    ).fetchall()
    db.execute(
        "INSERT OR REPLACE INTO parts (upload, number, blob, size, etag, checksum, modified)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            upload,
            part.number,
            *part.piece,
            part.etag,
            dump_checksum(part.checksum),
            part.modified,
        ),
    )
    return [row["blob"] for row in old]


def close_upload(db: Connection, upload: str) -> None:
    db.execute("DELETE FROM parts WHERE upload = ?", (upload,))
    db.execute("DELETE FROM uploads WHERE id = ?", (upload,))


def close_stale(db: Connection, *, before: int) -> list[str]:
    """Close uploads that nobody finished; returns the blobs of their parts."""
    stale: list[str] = []
    for row in db.execute("SELECT id FROM uploads WHERE created < ?", (before,)).fetchall():
        stale += [part.piece.blob for part in parts_of(db, row["id"])]
        close_upload(db, row["id"])
    return stale
