"""Upload: a file that a client sends straight to S3, under a link signed for just these bytes.

PENDING -> CONFIRMED -> attached to one object, or read by one import; and from any of these
DISCARDED, then gone. A `discard_at` says when the sweep may take it; an attached upload has none.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pymongo import IndexModel

from models.stored import Namespaced


class UploadStatus(StrEnum):
    """Where an upload is."""

    PENDING = "PENDING"  # asked for; the bytes may be there or not
    CONFIRMED = "CONFIRMED"  # the bytes are there, of the size and checksum promised
    DISCARDED = "DISCARDED"  # its bytes are being removed; nothing may refer to it any more


class Upload(Namespaced):
    """One file."""

    bucket_id: str
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    status: UploadStatus = UploadStatus.PENDING
    expires_at: datetime  # of the link
    confirmed_at: datetime | None = None
    object_id: str | None = None  # the one object that refers to it
    task_id: str | None = None  # the one import that reads it
    discard_at: datetime | None = None

    class Settings:
        """Where it is stored and how it is found."""

        name = "uploads"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("bucket_id", 1), ("_id", 1)], name="bucket"),
            IndexModel([("object_id", 1)], name="object"),
            IndexModel([("discard_at", 1)], name="discard"),
        ]
