"""Object: one registered thing of a bucket, with metadata and blobs (inline text or an S3 address).

A row's source is flat: every metadata key and every blob property is a field of it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pymongo import IndexModel

from models.stored import Namespaced, now


class Blob(BaseModel):
    """One file of an object: text inline, or its address."""

    model_config = ConfigDict(frozen=True)

    property: str
    text: str | None = None
    url: str | None = None
    media_type: str | None = None  # as the client names it; whoever decodes looks at the bytes
    size_bytes: int | None = None
    upload_id: str | None = None  # whose address `url` is


class Object(Namespaced):
    """A registered thing."""

    bucket_id: str
    key: str | None = None
    metadata: dict[str, Any] = {}
    blobs: list[Blob] = []
    tags: list[str] = []
    updated_at: datetime = Field(default_factory=now)

    @property
    def uses_uploads(self) -> bool:
        """Whether any of its files is an upload."""
        return any(blob.upload_id is not None for blob in self.blobs)

    class Settings:
        """Where it is stored and how it is found."""

        name = "objects"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("bucket_id", 1), ("_id", 1)], name="bucket"),
            IndexModel(
                [("bucket_id", 1), ("key", 1)],
                unique=True,
                name="key",
                partialFilterExpression={"key": {"$type": "string"}},
            ),
            IndexModel([("bucket_id", 1), ("tags", 1), ("_id", 1)], name="tags"),
        ]


async def count_objects(namespace_id: str, bucket_ids: Sequence[str]) -> dict[str, int]:
    """Return how many objects each bucket holds that holds any, by one call."""
    cursor = await Object.get_pymongo_collection().aggregate(
        [
            {"$match": {"namespace_id": namespace_id, "bucket_id": {"$in": list(bucket_ids)}}},
            {"$group": {"_id": "$bucket_id", "count": {"$sum": 1}}},
        ]
    )
    return {row["_id"]: row["count"] async for row in cursor}
