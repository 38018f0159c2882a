"""Rows of buckets and of the configurations stored with them."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from sqlite3 import Connection, IntegrityError
from typing import Final

from models.embedded.s3_front.errors import S3Error

NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket; its region is a word it was created with, nothing more."""

    name: str
    created: int  # milliseconds since 1970
    region: str


def create_bucket(db: Connection, bucket: Bucket) -> None:
    check_name(bucket.name)
    try:
        db.execute(
            "INSERT INTO buckets (name, created, region) VALUES (?, ?, ?)",
            (bucket.name, bucket.created, bucket.region),
        )
    except IntegrityError:
        raise S3Error("BucketAlreadyOwnedByYou") from None


def check_name(name: str) -> None:
    if not NAME.fullmatch(name) or ".." in name or is_address(name):
        raise S3Error("InvalidBucketName")


def is_address(name: str) -> bool:
    try:
        IPv4Address(name)
    except AddressValueError:
        return False
    return True


def list_buckets(db: Connection) -> list[Bucket]:
    rows = db.execute("SELECT name, created, region FROM buckets ORDER BY name")
    return [Bucket(*row) for row in rows]


def require_bucket(db: Connection, name: str) -> Bucket:
    row = db.execute("SELECT name, created, region FROM buckets WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise S3Error("NoSuchBucket")
    return Bucket(*row)


def delete_bucket(db: Connection, name: str) -> list[str]:
    """Delete an empty bucket with its open uploads; returns the blobs of those."""
    require_bucket(db, name)
    if db.execute("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (name,)).fetchone():
        raise S3Error("BucketNotEmpty")
    uploads = "SELECT id FROM uploads WHERE bucket = ?"
    stale = db.execute(f"SELECT blob FROM parts WHERE upload IN ({uploads})", (name,)).fetchall()
    db.execute(f"DELETE FROM parts WHERE upload IN ({uploads})", (name,))
    for table, column in (("uploads", "bucket"), ("configurations", "bucket"), ("buckets", "name")):
        db.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,))
    return [row["blob"] for row in stale]


def find_configuration(db: Connection, bucket: str, kind: str) -> bytes | None:
    require_bucket(db, bucket)
    row = db.execute(
        "SELECT document FROM configurations WHERE bucket = ? AND kind = ?", (bucket, kind)
    ).fetchone()
    return bytes(row["document"]) if row else None


def put_configuration(db: Connection, bucket: str, kind: str, document: bytes) -> None:
    require_bucket(db, bucket)
    db.execute(
        "INSERT OR REPLACE INTO configurations (bucket, kind, document) VALUES (?, ?, ?)",
        (bucket, kind, document),
    )


def delete_configuration(db: Connection, bucket: str, kind: str) -> None:
    require_bucket(db, bucket)
    db.execute("DELETE FROM configurations WHERE bucket = ? AND kind = ?", (bucket, kind))
