"""Document: what a collection holds. Vectors live in Qdrant and in the artifacts, not here.

_id is deterministic (`models.ids.document_id`), so a re-run overwrites itself. A document is
written in the same transaction that makes its block DONE, so whatever can be read here was
committed.
"""

from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field
from pymongo import IndexModel

from models.stored import Namespaced, now


class Document(Namespaced):
    """One document of a collection."""

    collection_id: str
    batch_id: str
    block_id: str
    epoch: int
    object_id: str  # the root: the object of the bucket
    source_id: str  # the row it was made of: that object, or the upstream document
    ordinal: int
    fields: dict[str, Any] = {}
    processing_history: list[dict[str, Any]] = []
    updated_at: datetime = Field(default_factory=now)

    class Settings:
        """Where it is stored and how it is found."""

        name = "documents"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("collection_id", 1), ("_id", 1)], name="collection"),
            IndexModel([("collection_id", 1), ("source_id", 1), ("ordinal", 1)], name="source"),
            IndexModel([("namespace_id", 1), ("object_id", 1)], name="object"),
            IndexModel([("batch_id", 1)], name="batch"),
        ]
