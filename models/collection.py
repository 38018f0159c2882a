"""Collection: one source and one extractor; holds documents.

`revision` grows with every committed write and the index signature hashes it, so a signature can
never stay the same after one.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from pymongo import IndexModel

from models.fields import ExtractorChoice, FieldSpec, VectorField
from models.filters import Filter
from models.observed import ObservedField
from models.states import Lifecycle
from models.stored import Namespaced


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Source(_Part):
    """What a collection reads: one bucket, or upstream collections; of these what fits."""

    bucket_id: str | None = None
    collection_ids: list[str] = []
    filter: Filter | None = None


class InputMapping(_Part):
    """Fills one input of the extractor: a dotted path, a literal, or a vector of the document."""

    input: str
    path: str | None = None
    literal: Any = None
    vector: str | None = None


class Passthrough(_Part):
    """Copies a field of the row into the document."""

    path: str
    target: str
    default: Any = None
    required: bool = False


class Collection(Namespaced):
    """A named set of documents and how they come about."""

    name: str
    description: str = ""
    source: Source
    extractor: ExtractorChoice
    input_mappings: list[InputMapping] = []
    passthrough: list[Passthrough] = []
    output_fields: list[FieldSpec] = []
    vectors: list[VectorField] = []
    observed: list[ObservedField] = []  # in the order of first sight; see `models.observed`
    document_count: int = 0
    revision: int = 0
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    deletion_task_id: str | None = None

    class Settings:
        """Where it is stored and how it is found."""

        name = "collections"
        indexes: ClassVar = [
            IndexModel([("namespace_id", 1), ("name", 1)], unique=True, name="name"),
            IndexModel([("namespace_id", 1), ("source.bucket_id", 1)], name="reads_bucket"),
            IndexModel(
                [("namespace_id", 1), ("source.collection_ids", 1)], name="reads_collection"
            ),
        ]

    @property
    def index_signature(self) -> str:
        """Sixteen hex digits that differ after every committed write."""
        return hashlib.sha256(f"{self.id}:{self.revision}".encode()).hexdigest()[:16]


def joint_signature(collections: Iterable[Collection]) -> str:
    """Return the signature of several collections; of one it is its own."""
    signatures = sorted({one.index_signature for one in collections})
    if len(signatures) == 1:
        return signatures[0]
    return hashlib.sha256(":".join(signatures).encode()).hexdigest()[:16]
